"""The RSGI application of a serving process, which also runs the background threads."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any


def stop_with(parent: int) -> None:
    """Stop this process when `parent`, granian's main process, is gone. A killed parent cannot stop its workers."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


# Until granian has loaded the application and installs signal handlers, this process has those of its parent, which
# would swallow SIGTERM. Only the parent reacts to Ctrl-C, and sends SIGTERM.
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=stop_with, args=[os.getppid()], name="parent-watch", daemon=True).start()

# Loading these takes a second.
from django.conf import settings
from granian import _signals

from kargoweb import wsgi
from kargoweb.gateway import Gateway
from kargoweb.lanes import Lanes
from receivers.ops import runtime
from receivers.ops.push_waiters import TooManyWaiting

__all__ = ["application"]


def stop_waiting(install: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return granian's function that installs the signal handlers of a worker, extended.

    A worker that stops waits for the responses to all requests, and clients may wait for a push for minutes. granian
    tells applications that it stops only after that.
    """

    def install_both(loop: Any) -> Any:
        stopping = install(loop)

        def stop() -> None:
            runtime.current().waiters.close()
            stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        return stopping

    return install_both


_signals.set_loop_signals = stop_waiting(_signals.set_loop_signals)

# Requests create few reference cycles, but with Python's default threshold the collector runs every few requests.
gc.set_threshold(5_000, 20, 20)
# granian's workers are `multiprocessing` processes, which exit without calling atexit handlers.
Finalize(None, runtime.start(settings.KARGOWEB).stop, exitpriority=1)

application = Gateway(
    wsgi.application,
    Lanes(settings.KARGOWEB.threads).choose,
    runtime.current().waiters.changed,
    TooManyWaiting,
)
