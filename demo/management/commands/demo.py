"""`manage.py demo`: run kargoweb with a simulated Kargo installation. `make run` calls this."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Stopped(BaseException):
    """The demo received a signal to stop."""


class Command(BaseCommand):
    """Start the demo and wait until it is stopped."""

    requires_system_checks = ()  # they would load the application
    help = "Run kargoweb with a simulated Kargo installation. Press Ctrl-C to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--api-port",
            type=int,
            default=0,
            help="port of the demo's Kubernetes API (default: the last one, or a free port)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _stop)
            from demo.runner import run  # noqa: PLC0415 - takes a second, in which the signals are handled

            run(settings.KARGOWEB, options["api_port"], self._write)
        except Stopped:
            return

    def _write(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _stop(*_: object) -> None:
    raise Stopped
