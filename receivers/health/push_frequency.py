"""How often a receiver usually gets pushes, and whether the current gap is unusually long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

DAYS: Final = 28  # four weeks, which include weekends and perhaps a holiday
MIN_DAYS: Final = 5  # days with pushes before a gap can be called unusual
TOLERANCE: Final = 2  # times the longest gap so far


@dataclass(frozen=True, slots=True)
class Silence:
    """A gap of `days` whole days without a push; earlier gaps lasted at most `usual` days."""

    days: int
    usual: int


def unusual_silence(days: Sequence[bool]) -> Silence | None:
    """Return the current gap if it is unusually long; None if it isn't, or if there is too little history.

    `days` says for each of the last days, the current one first, whether there was a push. Days are counted rather
    than pushes: one push causes a burst of deliveries, and nights are quiet anyway.
    """
    if sum(days) < MIN_DAYS:
        return None
    current = list(days).index(True)
    oldest = len(days) - 1 - list(reversed(days)).index(True)
    gaps = [len(list(run)) for pushed, run in groupby(days[current : oldest + 1]) if not pushed]
    usual = max(gaps, default=0) + 1
    return Silence(current, usual) if current > TOLERANCE * usual else None
