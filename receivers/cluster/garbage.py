"""Reduce the work of Python's cyclic garbage collector, which stops all threads."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_pauses = 0
_was_enabled = False


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Disable the collector while a list is decoded, which then takes a fourth of the time.

    The collector is disabled for the whole process, so concurrent pauses are counted: the last one enables it again if
    it was enabled before the first.
    """
    global _pauses, _was_enabled  # noqa: PLW0603  the state of the collector is global, too
    with _lock:
        if _pauses == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if _pauses == 0 and _was_enabled:
                gc.enable()


def freeze_objects() -> None:
    """Exclude all current objects from future collections, for the lifetime of the process.

    Called once after the first complete lists: each full collection of 10,000 Warehouses would stop all threads for
    50 ms.
    """
    gc.collect()
    gc.freeze()
