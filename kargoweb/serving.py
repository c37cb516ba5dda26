"""The WSGI application of a serving process, which also runs the background threads."""

import gc
import os
import signal
import threading
import time
from multiprocessing.util import Finalize

from django.conf import settings

from kargoweb.wsgi import application
from receivers.ops import runtime

__all__ = ["application"]


def stop_with(parent: int) -> None:
    """Stop this process when `parent`, granian's main process, is gone. A killed parent cannot stop its workers."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


# Requests create few reference cycles, but with Python's default threshold the collector runs every few requests.
gc.set_threshold(5_000, 20, 20)
threading.Thread(target=stop_with, args=[os.getppid()], name="parent-watch", daemon=True).start()
# granian's workers are `multiprocessing` processes, which exit without calling atexit handlers.
Finalize(None, runtime.start(settings.KARGOWEB).stop, exitpriority=1)
