"""`manage.py demo`: a Kargo installation in a box, and kargoweb in front of it. `make run` calls this."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Ended(BaseException):
    """Somebody asked the demo to end."""


class Command(BaseCommand):
    """Start everything, say where it is, and wait."""

    help = "Run a Kargo installation in a box with kargoweb in front of it; Ctrl-C ends all of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--api-port",
            type=int,
            default=0,
            help="the port of the demo's Kubernetes API; else the one it had last, or a free one",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, _end)
            # Not before Ctrl-C is seen to: this takes a second.
            from demo.box import run  # noqa: PLC0415

            run(settings.KARGOWEB, options["api_port"], self._say)
        except Ended:
            return

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _end(*_: object) -> None:
    raise Ended
