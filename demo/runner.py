"""Run the demo in the foreground: start it, print how to use it, and stop all processes at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from django.core.management.base import CommandError

from demo.account import sign_in_password
from demo.children import ChildExited
from demo.installation import DemoError, Installation
from demo.welcome import welcome
from kargoweb.configuration import Configuration
from receivers.cluster.errors import ClusterError

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(configuration: Configuration, api_port: int, write: Callable[[str], None]) -> None:
    """Start the demo, print how to reach it, and wait until an exception ends it. All processes end with it.

    Raises CommandError if the demo cannot start or a process exits.
    """
    installation = Installation(configuration, api_port)
    try:
        installation.reserve()
        write("Starting kargoweb with a simulated Kargo installation ...")
        password = sign_in_password(installation.paths.password)
        example = installation.start()
        write(welcome(configuration.base_url, password, installation.paths, example, Path.cwd()))
        installation.wait()
    except (ChildExited, ClusterError, DemoError) as error:
        raise CommandError(str(error)) from error
    finally:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        installation.stop()
