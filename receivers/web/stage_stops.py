"""The Stages of a journey: as columns where there is room, or as a tree where the way is long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from receivers.kargo.stage_states import StageJourney, StageNode, StageState
from receivers.web import kargo_links, stage_sentences
from receivers.web.phrases import phrase
from receivers.web.push_results import WarehouseResult
from receivers.web.stops import JourneyLane, Meter, Stop

MOST_DEPTHS: Final = 3  # Stages in a row that fit side by side, beside Warehouse and Freight
SOAK_STEPS: Final = 40  # of the meter, so that the page changes no more often than this

Columns = list[tuple[Stop | JourneyLane, ...]]


def is_long(journey: StageJourney | None) -> bool:
    """Return whether there are too many Stages in a row to draw them side by side."""
    return journey is not None and any(node.depth >= MOST_DEPTHS for node in journey.nodes)


def stage_columns(result: WarehouseResult) -> Columns:
    """Return the columns of the Stages that take the Freight of a Warehouse.

    Those with the same distance from the Warehouse share one. A long way is a tree: each Stage follows one of its
    upstream Stages, the farthest one, and names the others.
    """
    if result.journey is None:
        return []
    if is_long(result.journey):
        return _tree(result, result.journey.nodes)
    by_depth: dict[int, list[StageNode]] = defaultdict(list)
    for node in result.journey.nodes:
        by_depth[node.depth].append(node)
    columns: Columns = []
    before: frozenset[str] = frozenset()
    for depth in sorted(by_depth):
        # Stages with successors come first, because the next column begins beside them.
        nodes = sorted(by_depth[depth], key=lambda node: node.is_last)
        columns.append(tuple(_stage(result, node, before) for node in nodes))
        before = frozenset(node.name for node in nodes)
    return columns


def _tree(result: WarehouseResult, nodes: Sequence[StageNode]) -> Columns:
    depths = {node.name: node.depth for node in nodes}
    children: dict[str, list[StageNode]] = defaultdict(list)
    for node in nodes:
        # Upstream Stages may be missing, and there may be cycles.
        parents = [name for name in node.parents if depths.get(name, node.depth) < node.depth]
        children[max(parents, key=lambda name: (depths[name], name), default="")].append(node)
    return _branch(result, children, "")


def _branch(result: WarehouseResult, children: dict[str, list[StageNode]], parent: str) -> Columns:
    """Return what follows a Stage, or the Freight if `parent` is empty."""
    columns: Columns = []
    while following := children[parent]:
        drawn = frozenset({parent})
        if len(following) > 1:
            entries: list[Stop | JourneyLane] = []
            for node in following:
                stop, rest = _stage(result, node, drawn), _branch(result, children, node.name)
                entries.append(JourneyLane(node.name, ((stop,), *rest)) if rest else stop)
            return [*columns, tuple(entries)]
        columns.append((_stage(result, following[0], drawn),))
        parent = following[0].name
    return columns


def _stage(result: WarehouseResult, node: StageNode, before: frozenset[str]) -> Stop:
    """Return the stop of a Stage. `before` are the Stages after which it is drawn; others are named."""
    progress = node.progress
    after = phrase()
    if node.depth and set(node.parents) != before:
        after = phrase(f"after {', '.join(node.parents)}")
    detail = stage_sentences.detail(progress)
    return Stop(
        kind="Control flow Stage" if node.control_flow else "Stage",
        name=node.name,
        tone=stage_sentences.tone(progress),
        word=stage_sentences.word(progress),
        text=stage_sentences.sentence(progress),
        detail=phrase(detail, "; " if detail and after else None, after),
        url=kargo_links.stage_url(result.project, node.name),
        on=progress.is_reached,
        last=node.is_last,
        meter=_meter(node),
    )


def _meter(node: StageNode) -> Meter | None:
    progress = node.progress
    if progress.state is StageState.PROMOTING and progress.steps:
        done = max(0.5, progress.step - 0.5)
        return Meter(done, progress.steps, f"Step {progress.step} of {progress.steps}")
    if progress.state is StageState.WAITING_FOR_SOAK and progress.soak:
        return Meter(round(SOAK_STEPS * (progress.soaked / progress.soak)), SOAK_STEPS, "Soak time")
    return None
