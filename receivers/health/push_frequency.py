"""How often pushes usually come, and whether they have stayed away for longer than that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

DAYS: Final = 28  # four weeks: weekends and a holiday are in it
FEWEST_DAYS: Final = 5  # with pushes, before anything is called usual
PATIENCE: Final = 2  # times the longest silence so far


@dataclass(frozen=True, slots=True)
class Silence:
    """No push for `days` whole days, where there never were more than `usual` between two of them before."""

    days: int
    usual: int


def unusual_silence(days: Sequence[bool]) -> Silence | None:
    """Return the silence that goes on now if it is unusual; None if it is not, or if there is too little to go by.

    `days` says for each of the last days, the one that ends now first, whether there was a push. Whole days are
    counted and not pushes: one push gives a burst of deliveries, and nobody pushes at night.
    """
    if sum(days) < FEWEST_DAYS:
        return None
    now = list(days).index(True)
    last = len(days) - 1 - list(reversed(days)).index(True)
    gaps = [len(list(run)) for pushed, run in groupby(days[now : last + 1]) if not pushed]
    usual = max(gaps, default=0) + 1
    return Silence(now, usual) if now > PATIENCE * usual else None
