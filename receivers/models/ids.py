"""Primary keys that sort by time: UUIDs of version 7."""

from __future__ import annotations

import random
import threading
import time
import uuid
from datetime import datetime

_id_lock = threading.Lock()
_last_id = 0  # without version and variant: 48 bits of milliseconds, 74 that are random or count


def new_id() -> uuid.UUID:
    """Return a new UUID of version 7, greater than every one that this process returned before.

    Ids of several processes sort by time only as far as their clocks agree, and in random order within a millisecond.
    Compare times where the order matters, and ids only to break a tie. Source: RFC 9562, sections 5.7 and 6.2.
    """
    global _last_id  # noqa: PLW0603 - the counter of this process
    milliseconds = time.time_ns() // 1_000_000
    with _id_lock:
        # Not a secret, so not from the operating system: a system call hands the interpreter to another thread.
        if milliseconds > _last_id >> 74:
            _last_id = milliseconds << 74 | random.getrandbits(74)
        else:
            # The same millisecond, or a clock that was set back. A carry out of the random bits borrows the next one.
            _last_id += 1 + random.getrandbits(32)
        number = _last_id
    return uuid.UUID(
        int=number >> 74 << 80
        | 0x7 << 76
        | (number >> 62 & 0xFFF) << 64
        | 0b10 << 62
        | number & (1 << 62) - 1
    )


def first_id(at: datetime) -> uuid.UUID:
    """Return a lower bound of the ids that `new_id` returns from that time on, by the same clock."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)
