"""Where a push got to: received, Freight, and the Stages, as a row of marks with words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from receivers.deliveries.outcomes import Tone, tone
from receivers.kargo.stage_states import StageJourney, StageNode, StageState
from receivers.models import Delivery, Outcome, Refresh
from receivers.web import local_times, stage_sentences

STEP: Final = 20  # pixels between two marks
MARK: Final = 6  # pixels from the edge to the center of the first mark
MOST_MARKS: Final = 8  # a column has room for that many; the last one stands for the rest

FreightKey = tuple[str, str, str]
"""Project, Warehouse and name of a piece of Freight."""

_WORDS: Final = {
    "good": "Freight", "run": "received", "bad": "received", "plain": "skipped", "todo": "received",
}  # fmt: skip
_SHAPES: Final = {"good": "good", "run": "run", "bad": "bad", "open": "open", "gone": "plain"}
"""The shape of a Stage's mark by its tone; where the Freight has not been, it is `todo`."""

_RADII: Final = {"good": 5, "plain": 4.5}
_URGENCY: Final = ("bad", "run", "good", "open", "plain", "todo")
"""Of several Stages as far from the Warehouse, the first shape that one of them has."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One step. `shape` is `good`, `run`, `open`, `plain`, `bad` or `todo`; `x` is its center in pixels."""

    shape: str
    x: int

    @property
    def radius(self) -> float:
        """Return the radius of a mark that is a circle, in pixels: those that say more are larger."""
        return _RADII.get(self.shape, 3.75)


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


def freight_keys(refreshes: Iterable[Refresh]) -> list[FreightKey]:
    """Return the Freight that refreshes led to."""
    return [
        (refresh.project, refresh.warehouse, refresh.freight)
        for refresh in refreshes
        if refresh.freight and tone(refresh.outcome) is Tone.GOOD
    ]


def reach_of(
    row: Delivery, refreshes: Sequence[Refresh], journeys: Mapping[FreightKey, StageJourney], zone: tzinfo
) -> Reach:
    """Return where a push got to, given the delivery that has its outcome and the refreshes of all its deliveries."""
    if row.outcome in {Outcome.DRY_RUN, Outcome.TEST_PASSED}:
        return _reach(["good", "todo"], "test")
    if row.outcome == Outcome.FORWARDED:
        return _reach(["good", "todo"], "passed on")
    freight = _freight(row, refreshes)
    known = [journeys[key] for key in dict.fromkeys(freight_keys(refreshes)) if key in journeys]
    nodes = [node for journey in known for node in journey.nodes]
    if not nodes:
        return _reach(["good", freight], _WORDS[freight])
    by_depth: dict[int, list[str]] = {}
    for node in nodes:
        by_depth.setdefault(node.depth, []).append(_shape(node))
    stages = [min(by_depth[depth], key=_URGENCY.index) for depth in sorted(by_depth)]
    if len(stages) > MOST_MARKS - 2:
        rest = stages[MOST_MARKS - 3 :]
        stages = [*stages[: MOST_MARKS - 3], min(rest, key=_URGENCY.index)]
    return _reach(["good", freight, *stages], _words(nodes, zone))


def _words(nodes: Sequence[StageNode], zone: tzinfo) -> str:
    """Return where Freight is in a few words: what failed, what runs, or how far it got."""
    farthest_first = sorted(nodes, key=lambda node: node.depth, reverse=True)
    shapes = {node.name: _shape(node) for node in nodes}
    for node in farthest_first:
        if shapes[node.name] == "bad":
            return f"{node.name}: {stage_sentences.word(node.progress).lower()}"
    for node in farthest_first:
        if shapes[node.name] == "run" and not node.progress.is_live:
            return _running(node)
    live = [node for node in farthest_first if node.progress.is_live]
    if live and live[0].is_last:
        since = live[0].progress.since
        return f"live in {live[0].name}" + (
            f" since {local_times.text(since, zone, 'date')}" if since else ""
        )
    waiting = [node for node in farthest_first if node.progress.state is StageState.AWAITING_PROMOTION]
    if waiting:
        return f"{waiting[-1].name} waits for promotion"
    if live:
        return f"live in {live[0].name}"
    passed = [node for node in farthest_first if node.progress.state is StageState.REPLACED]
    return f"replaced in {passed[0].name}" if passed else "Freight"


def _running(node: StageNode) -> str:
    progress = node.progress
    if progress.state is StageState.PROMOTING and progress.step:
        return f"{node.name}: step {progress.step} of {progress.steps}"
    return f"{node.name}: {stage_sentences.word(progress).lower()}"


def _shape(node: StageNode) -> str:
    return _SHAPES.get(stage_sentences.tone(node.progress), "todo")


def _freight(row: Delivery, refreshes: Sequence[Refresh]) -> str:
    if row.with_freight or freight_keys(refreshes):
        return "good"
    if row.outcome == Outcome.NO_MATCH:
        return "todo"
    return {Tone.OPEN: "run", Tone.BAD: "bad", Tone.PLAIN: "plain", Tone.GOOD: "good"}[tone(row.outcome)]


def _reach(shapes: Sequence[str], words: str) -> Reach:
    return Reach(tuple(Mark(shape, MARK + STEP * place) for place, shape in enumerate(shapes)), words)
