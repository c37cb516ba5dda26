"""Where a push got to: received, Freight, and the Stages, as a row of marks with words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from receivers.deliveries.outcomes import Tone, tone
from receivers.models import Delivery, Outcome, Refresh

STEP: Final = 20  # pixels between two marks
MARK: Final = 6  # pixels from the edge to the center of the first mark


@dataclass(frozen=True, slots=True)
class Mark:
    """One step. `shape` is `good`, `run`, `open`, `plain`, `bad` or `todo`; `x` is its center in pixels."""

    shape: str
    x: int


@dataclass(frozen=True, slots=True)
class Reach:
    """The steps of a push, and in words where it is."""

    marks: tuple[Mark, ...]
    words: str

    @property
    def width(self) -> int:
        """Return the width of the drawing in pixels."""
        return STEP * (len(self.marks) - 1) + 2 * MARK

    @property
    def links(self) -> list[int]:
        """Return where the line to the next mark starts, for each but the last."""
        return [mark.x + MARK for mark in self.marks[:-1]]


def reach_of(row: Delivery, refreshes: Sequence[Refresh], stages: Any, zone: tzinfo) -> Reach:
    """Return where a push got to, given the delivery that has its outcome and the refreshes of all its deliveries."""
    freight = _freight(row, refreshes)
    words = {"good": "Freight", "run": "received", "bad": "received", "plain": "skipped", "todo": "received"}
    if row.outcome in {Outcome.DRY_RUN, Outcome.TEST_PASSED}:
        return _reach(["good", "todo"], "test")
    return _reach(["good", freight], words[freight])


def _freight(row: Delivery, refreshes: Sequence[Refresh]) -> str:
    if row.with_freight or any(refresh.freight and refresh.outcome for refresh in refreshes):
        return "good"
    kind = tone(row.outcome)
    if row.outcome == Outcome.NO_MATCH:
        return "todo"
    return {Tone.OPEN: "run", Tone.BAD: "bad", Tone.PLAIN: "plain", Tone.GOOD: "good"}[kind]


def _reach(shapes: Sequence[str], words: str) -> Reach:
    return Reach(tuple(Mark(shape, MARK + STEP * place) for place, shape in enumerate(shapes)), words)
