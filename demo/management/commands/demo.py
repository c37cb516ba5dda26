"""`manage.py demo`: a Kargo installation in a box, and kargoweb in front of it. `make run` calls this."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.account import sign_in_password
from demo.children import ChildEnded
from demo.installation import DemoError, Installation
from demo.welcome import welcome
from receivers.cluster.errors import ClusterError


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
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        installation = Installation(settings.KARGOWEB, options["api_port"])
        try:
            installation.reserve()
            self.stdout.write("Starting a Kargo installation in a box, and kargoweb in front of it …")
            self.stdout.flush()
            password = sign_in_password(installation.places.password)
            offer = installation.start()
            self.stdout.write(
                welcome(settings.KARGOWEB.base_url, password, installation.places, offer, Path.cwd())
            )
            self.stdout.flush()
            installation.wait()
        except Ended:
            pass
        except (ChildEnded, ClusterError, DemoError) as error:
            raise CommandError(str(error)) from error
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            installation.end()


def _end(*_: object) -> None:
    raise Ended
