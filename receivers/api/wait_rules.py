"""The result for a client that waits for a push: it got there, it won't get there, or it is on its way.

The rules access neither the network nor the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Final

from receivers.deliveries.outcomes import Tone, tone, urgency
from receivers.deliveries.push_record import PushRecord
from receivers.kargo.stage_states import StageProgress, StageState
from receivers.models import Outcome
from receivers.web import stage_sentences
from receivers.web.phrases import listed
from receivers.web.push_results import PushResults, WarehouseResult
from receivers.web.push_story import push_sentence


class WaitState(StrEnum):
    """Whether a client must wait longer."""

    REACHED = "reached"
    FAILED = "failed"
    """The push won't get there without action."""
    WAITING = "waiting"


class WaitCode(StrEnum):
    """Why a client waits or gives up, for results that neither `Outcome` nor `StageState` has."""

    NOT_RECEIVED = "not_received"
    """No such push has arrived yet."""
    NOT_REFRESHED = "not_refreshed"
    """The push did not refresh the requested Warehouse."""
    UNKNOWN_STAGE = "unknown_stage"
    """No Stage of this name takes Freight of the Warehouse."""
    STAGES_NOT_FOLLOWED = "stages_not_followed"
    """kargoweb may not read Stages, or doesn't follow them."""
    FREIGHT_DELETED = "freight_deleted"


@dataclass(frozen=True, slots=True)
class WaitResult:
    """The result for a client. `code` is an `Outcome`, a `StageState` or a `WaitCode`; `sentence` is for people."""

    state: WaitState
    code: str
    sentence: str


NOT_RECEIVED: Final = WaitResult(
    WaitState.WAITING, WaitCode.NOT_RECEIVED, "kargoweb has received no such push yet."
)

_ARRIVED: Final = frozenset({StageState.CURRENT, StageState.REPLACED, StageState.PASSED})
_STUCK: Final = frozenset(
    {
        StageState.FAILED, StageState.ABORTED, StageState.VERIFICATION_FAILED, StageState.SUPERSEDED,
        StageState.SOAK_CUT_SHORT, StageState.SOAK_IMPOSSIBLE,
    }
)  # fmt: skip
"""Kargo will not get the Freight into the Stage, or verify it there, by itself."""


def judge(record: PushRecord, results: PushResults, *, stage: str = "", warehouse: str = "") -> WaitResult:
    """Return the result for a client that waits until a push is Freight, or is in a Stage and verified there.

    With `warehouse` (`name` or `project/name`), only that Warehouse counts. Otherwise a failure in one Warehouse is a
    failure, and one Warehouse with Freight is enough if the others skip the tag.
    """
    shown = [result for result in results.shown if not warehouse or warehouse in _names(result)]
    of_freight = _freight(record, results, shown, warehouse)
    if of_freight.state is not WaitState.REACHED or not stage:
        return of_freight
    return _stage(of_freight, results, shown, stage)


def _names(result: WarehouseResult) -> tuple[str, str]:
    return result.warehouse, f"{result.project}/{result.warehouse}"


def _freight(
    record: PushRecord, results: PushResults, shown: Sequence[WarehouseResult], warehouse: str
) -> WaitResult:
    sentence = str(push_sentence(record, results, UTC))
    if not shown:
        outcome = record.decisive.outcome
        if tone(outcome) is Tone.OPEN:
            return WaitResult(WaitState.WAITING, outcome, sentence)
        if warehouse and results.shown:
            return WaitResult(
                WaitState.FAILED, WaitCode.NOT_REFRESHED, f"The push did not refresh Warehouse {warehouse}."
            )
        # Nothing is known of a push that was passed on, so a pipeline must not take it for Freight.
        is_good = tone(outcome) is Tone.GOOD and outcome != Outcome.FORWARDED
        return WaitResult(WaitState.REACHED if is_good else WaitState.FAILED, outcome, sentence)
    outcomes = [result.refresh.outcome or Outcome.REFRESHED.value for result in shown]
    decisive = min(outcomes, key=urgency)
    states = {Tone.OPEN: WaitState.WAITING, Tone.GOOD: WaitState.REACHED}
    return WaitResult(states.get(tone(decisive), WaitState.FAILED), decisive, sentence)


def _stage(
    of_freight: WaitResult, results: PushResults, shown: Sequence[WarehouseResult], stage: str
) -> WaitResult:
    if not results.follows_stages:
        return WaitResult(
            WaitState.FAILED, WaitCode.STAGES_NOT_FOLLOWED, "This kargoweb doesn't follow Stages."
        )
    with_freight = [result for result in shown if result.refresh.freight]
    if with_freight and all(result.deleted for result in with_freight):
        return WaitResult(WaitState.FAILED, WaitCode.FREIGHT_DELETED, of_freight.sentence)
    journeys = [result.journey for result in with_freight if result.journey is not None]
    nodes = [node for journey in journeys for node in journey.nodes]
    asked_for = [node.progress for node in nodes if node.name == stage]
    if not asked_for:
        known = len(journeys) == len(with_freight) and all(journey.complete for journey in journeys)
        if not known:
            return WaitResult(WaitState.WAITING, of_freight.code, of_freight.sentence)
        names = listed(sorted({node.name for node in nodes}), "and")
        there_are = f"Its Stages are {names}." if names else "There are none."
        return WaitResult(
            WaitState.FAILED,
            WaitCode.UNKNOWN_STAGE,
            f"No Stage {stage} takes Freight of the Warehouse. {there_are}",
        )
    states = [(_of_progress(progress), progress) for progress in asked_for]
    order = (WaitState.FAILED, WaitState.WAITING, WaitState.REACHED)
    state, progress = min(states, key=lambda pair: order.index(pair[0]))
    if state is WaitState.REACHED:
        return WaitResult(state, progress.state, of_freight.sentence)
    why = stage_sentences.explanation(progress)
    parts = (f"{stage}: {why.title}.", why.message, str(why.text))
    return WaitResult(state, progress.state, " ".join(filter(None, parts)))


def _of_progress(progress: StageProgress) -> WaitState:
    """Return whether the Freight is in a Stage, won't get there, or is on its way, also by the Stages before it."""
    if progress.state in _ARRIVED:
        return WaitState.REACHED
    if progress.state in _STUCK:
        return WaitState.FAILED
    if progress.state in {StageState.NOT_REACHED, StageState.WAITING_FOR_VERIFICATION} and progress.causes:
        failed = [_of_progress(cause) is WaitState.FAILED for cause in progress.causes]
        if any(failed) if progress.all_upstreams else all(failed):
            return WaitState.FAILED
    return WaitState.WAITING
