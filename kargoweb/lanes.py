"""The classes of requests, whose capacity is separate: pushes, probes and pages."""

from __future__ import annotations

import re
from typing import Final

from django.conf import settings

from kargoweb.gateway import Lane
from receivers.kargo.responses import MAX_BODY
from receivers.ops import runtime
from receivers.webhook.views import RECEIVER_URL

PAGE_THREADS: Final = 8
"""Pages at the same time. More would not be faster: a page takes the interpreter most of its time."""

PAGES_WAITING: Final = 64
"""More would wait for several seconds."""

PROBE_THREADS: Final = 2
WAIT_THREADS: Final = 2
"""For clients that wait for a push, of whom hundreds may have to look at the same time."""

WAIT: Final = "/api/v1/pushes/wait"
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
UNLIMITED: Final = 1 << 20  # requests; connections are limited


class Lanes:
    """The lanes of a serving process. `threads` are for pushes."""

    def __init__(self, threads: int) -> None:
        self._pushes = Lane("push", threads, UNLIMITED)
        self._probes = Lane("probe", PROBE_THREADS, PAGES_WAITING)
        self._waits = Lane("wait", WAIT_THREADS, UNLIMITED)
        self._pages = Lane("page", PAGE_THREADS, PAGES_WAITING)
        self._receiver_url = re.compile(RECEIVER_URL)

    def choose(self, path: str) -> tuple[Lane, int]:
        """Return the lane of a request and the number of bytes to read of its body."""
        if path in PROBES:
            return self._probes, 0
        if match := self._receiver_url.match(path[1:]):
            # The body of a push to an unknown URL is not read.
            return self._pushes, MAX_BODY if runtime.is_known_url(match["kind"], match["digest"]) else 0
        if path == WAIT:
            return self._waits, 0
        return self._pages, settings.DATA_UPLOAD_MAX_MEMORY_SIZE
