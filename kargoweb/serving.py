"""The WSGI application of a serving process: Django, and beside it the background threads."""

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


def end_with(parent: int) -> None:
    """Ask this process to end when `parent`, which listens and would restart it, is gone: killed, it tells nobody."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


# Requests leave little behind that only the collector finds; Python's default has it look every few requests.
gc.set_threshold(5_000, 20, 20)
threading.Thread(target=end_with, args=[os.getppid()], name="parent-watch", daemon=True).start()
# granian's workers are processes of `multiprocessing`, which leave without running atexit's functions.
Finalize(None, runtime.start(settings.KARGOWEB).stop, exitpriority=1)
