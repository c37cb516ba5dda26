"""The demo from start to end, in the foreground."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from django.core.management.base import CommandError

from demo.account import sign_in_password
from demo.children import ChildEnded
from demo.installation import DemoError, Installation
from demo.welcome import welcome
from kargoweb.configuration import Configuration
from receivers.cluster.errors import ClusterError

END_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(configuration: Configuration, api_port: int, say: Callable[[str], None]) -> None:
    """Start everything, `say` where it is, and wait for ever; whatever exception ends that ends all of it.

    Raises CommandError when something is wrong.
    """
    installation = Installation(configuration, api_port)
    try:
        installation.reserve()
        say("Starting a Kargo installation in a box, and kargoweb in front of it …")
        password = sign_in_password(installation.places.password)
        offer = installation.start()
        say(welcome(configuration.base_url, password, installation.places, offer, Path.cwd()))
        installation.wait()
    except (ChildEnded, ClusterError, DemoError) as error:
        raise CommandError(str(error)) from error
    finally:
        for number in END_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        installation.end()
