"""How far a piece of Freight is in the Stages: where it is since when, and what it waits for elsewhere.

Sources: Kargo's Stage and Promotion controllers (`pkg/controller/stages`, `pkg/controller/promotions`), and its rules
of auto-promotion (`pkg/api/auto_promotion.go`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from receivers.kargo.promotion_policies import PromotionPolicy, is_automatic
from receivers.kargo.stage_availability import Missing, is_in, missing_for
from receivers.kargo.stage_order import depths, upstreams_by_stage
from receivers.kargo.stage_states import StageJourney, StageNode, StageProgress, StageState
from receivers.kargo.stages import (
    SUCCEEDED,
    FreightName,
    FreightRequest,
    FreightStatus,
    Promotion,
    Stage,
    actor_name,
)

PULL_REQUEST_STEP: Final = "git-wait-for-pr"
_BAD_VERIFICATIONS: Final = frozenset({"Failed", "Error", "Aborted", "Inconclusive"})
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

_STUCK: Final = frozenset(
    {
        StageState.SOAK_CUT_SHORT,
        StageState.SOAK_IMPOSSIBLE,
        StageState.AWAITING_PROMOTION,
        StageState.HELD,
        StageState.SUPERSEDED,
        StageState.FAILED,
        StageState.ABORTED,
        StageState.VERIFICATION_FAILED,
    }
)
_NEVER_VERIFIED: Final = frozenset({StageState.REPLACED, StageState.NOT_REQUESTED})
"""States in which Freight that isn't verified won't be."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What is known of a project at one moment.

    `freight` is that of one Warehouse, by name; `promotions` are by Stage, in any order. `complete`: nothing is
    missing.
    """

    stages: Mapping[str, Stage]
    freight: Mapping[str, FreightStatus]
    promotions: Mapping[str, Sequence[Promotion]]
    policies: tuple[PromotionPolicy, ...]
    now: datetime
    complete: bool = True

    def promotions_to(self, stage: Stage) -> list[Promotion]:
        """Return the known Promotions to a Stage, oldest first. The Stage itself notes the last one."""
        promotions = {promotion.name: promotion for promotion in self.promotions.get(stage.name, ())}
        last = stage.last_promotion
        if last is not None:
            known = promotions.get(last.name)
            if known is None:
                promotions[last.name] = last
            elif not known.is_terminal:  # the watches are not in sync with each other
                promotions[last.name] = replace(last, steps=known.steps, uses=known.uses, actor=known.actor)
        return sorted(promotions.values(), key=_order)

    def name_of(self, freight: str) -> FreightName:
        """Return the names of a piece of Freight, as far as they are known."""
        known = self.freight.get(freight)
        return known.known_as if known else FreightName(freight)


def assess_journey(pipeline: Pipeline, freight: FreightStatus) -> StageJourney:
    """Return how far a piece of Freight is in all Stages of its Warehouse, upstream Stages first.

    In each, the first rule that fits decides.
    """
    assessment = _Assessment(pipeline, freight)
    upstreams = upstreams_by_stage(pipeline.stages.values(), freight.warehouse)
    depth = depths(upstreams)
    with_downstream = {name for names in upstreams.values() for name in names}
    nodes = tuple(
        StageNode(
            name=name,
            parents=upstreams[name],
            depth=depth[name],
            progress=assessment.progress(pipeline.stages[name]),
            is_last=name not in with_downstream,
            control_flow=pipeline.stages[name].control_flow,
        )
        for name in sorted(upstreams, key=lambda name: (depth[name], name))
    )
    return StageJourney(freight.project, freight.warehouse, freight.known_as, nodes, pipeline.complete)


class _Assessment:
    """The progress of one piece of Freight in the Stages, each assessed once."""

    def __init__(self, pipeline: Pipeline, freight: FreightStatus) -> None:
        self._pipeline = pipeline
        self._freight = freight
        self._known: dict[str, StageProgress | None] = {}

    def progress(self, stage: Stage) -> StageProgress:
        if stage.name not in self._known:
            self._known[stage.name] = None
            self._known[stage.name] = self._assess(stage)
        # None: the Stage is upstream of itself, so nothing can come from there.
        return self._known[stage.name] or self._blank(stage, StageState.NOT_REACHED, stuck=True)

    def _blank(self, stage: Stage, state: StageState, *, stuck: bool = False) -> StageProgress:
        current = stage.current(self._freight.warehouse)
        verified = self._freight.verified_in.get(stage.name)
        return StageProgress(
            project=self._freight.project,
            stage=stage.name,
            freight=self._freight.known_as,
            state=state,
            verified_at=verified.at if verified else None,
            in_stage=self._known_as(current),
            automatic=not stage.control_flow
            and is_automatic(self._pipeline.policies, stage.name, stage.labels),
            stuck=stuck or state in _STUCK,
        )

    def _known_as(self, name: FreightName | None) -> FreightName | None:
        """Return all names of a piece of Freight of which a Stage notes only some."""
        if name is None:
            return None
        known = self._pipeline.freight.get(name.name)
        return known.known_as if known else name

    def _assess(self, stage: Stage) -> StageProgress:
        request = stage.request(self._freight.warehouse)
        if request is None:
            return self._blank(stage, StageState.NOT_REQUESTED)
        if stage.control_flow:
            return (
                self._passed(stage)
                or self._missing(stage, request)
                or self._blank(stage, StageState.IMMINENT)
            )
        promotions = self._pipeline.promotions_to(stage)
        own = [promotion for promotion in promotions if promotion.freight == self._freight.name]
        return (
            self._current(stage, own)
            or self._promoting(stage, own)
            or (None if self._was_there(promotions, own) else self._failed(stage, own))
            or self._left(stage, promotions, own)
            or self._missing(stage, request)
            or self._available(stage, request)
        )

    def _passed(self, stage: Stage) -> StageProgress | None:
        verified = self._freight.verified_in.get(stage.name)
        return replace(self._blank(stage, StageState.PASSED), since=verified.at) if verified else None

    def _promoting(self, stage: Stage, own: Sequence[Promotion]) -> StageProgress | None:
        active = [promotion for promotion in own if not promotion.is_terminal]
        if not active:
            return None
        promotion = next((candidate for candidate in active if candidate.phase == "Running"), active[0])
        if promotion.phase != "Running" and stage.current_promotion != promotion.name:
            return replace(
                self._blank(stage, StageState.QUEUED),
                since=promotion.created_at,
                other=self._ahead(stage),
                actor=actor_name(promotion.actor),
                promotion=promotion.name,
            )
        at, begun = promotion.current_step, bool(promotion.results)
        waits = begun and promotion.uses[at : at + 1] == (PULL_REQUEST_STEP,)
        return replace(
            self._blank(stage, StageState.WAITING_FOR_PULL_REQUEST if waits else StageState.PROMOTING),
            since=promotion.started_at or promotion.created_at,
            step=at + 1 if begun else 0,
            steps=len(promotion.steps),
            step_alias=next(iter(promotion.steps[at : at + 1]), "") if begun else "",
            actor=actor_name(promotion.actor),
            promotion=promotion.name,
        )

    def _ahead(self, stage: Stage) -> FreightName | None:
        """Return the Freight that is being promoted to the Stage now."""
        name = stage.current_freight or next(
            (
                promotion.freight
                for promotion in self._pipeline.promotions.get(stage.name, ())
                if promotion.name == stage.current_promotion
            ),
            "",
        )
        return self._pipeline.name_of(name) if name else None

    def _current(self, stage: Stage, own: Sequence[Promotion]) -> StageProgress | None:
        if not is_in(self._freight, stage):
            return None
        last = stage.last_promotion
        failed = last is not None and last.is_terminal and last.phase != SUCCEEDED
        arrived = next(
            (candidate.finished_at for candidate in reversed(own) if candidate.phase == SUCCEEDED), None
        )
        blank = self._blank(stage, StageState.CURRENT)
        failed_other = None
        if last is not None and failed and last.freight != self._freight.name and self._is_of_warehouse(last):
            failed_other = self._pipeline.name_of(last.freight)
        again = self._promoting(stage, own) or self._failed(stage, own)
        blank = replace(
            blank,
            again=again.state if again else None,
            since=self._freight.currently_in.get(stage.name) or arrived,
            failed_other=failed_other,
            promotion=own[-1].name if own else "",
            actor=actor_name(own[-1].actor) if own else "",
        )
        if stage.verification in _BAD_VERIFICATIONS:
            message = stage.verification_message or f"Verification {stage.verification.lower()}"
            return replace(blank, state=StageState.VERIFICATION_FAILED, message=message, stuck=True)
        if stage.health == "Unhealthy":
            return replace(blank, state=StageState.UNHEALTHY, message="; ".join(stage.health_issues))
        if stage.name not in self._freight.verified_in:
            # After a failed Promotion Kargo doesn't know the health, without which it verifies nothing.
            return replace(blank, state=StageState.VERIFYING, stuck=failed)
        return blank

    def _is_of_warehouse(self, promotion: Promotion) -> bool:
        if promotion.warehouse:
            return promotion.warehouse == self._freight.warehouse
        return promotion.freight in self._pipeline.freight

    def _failed(self, stage: Stage, own: Sequence[Promotion]) -> StageProgress | None:
        newest = own[-1] if own else None
        if newest is None or newest.phase == SUCCEEDED:
            return None
        step = newest.failed_step
        return replace(
            self._blank(stage, StageState.ABORTED if newest.phase == "Aborted" else StageState.FAILED),
            since=newest.finished_at,
            step=newest.results.index(step) + 1 if step else 0,
            steps=len(newest.steps) or len(newest.results),
            step_alias=step.alias if step else "",
            other=self._newer_in(stage),
            message=newest.message or (step.message if step else ""),
            actor=actor_name(newest.actor),
            promotion=newest.name,
        )

    def _last_stay(self, promotions: Sequence[Promotion]) -> Sequence[Promotion]:
        """Return the Promotions that brought the Freight to the Stage for its last stay, the first of them first."""
        stay: list[Promotion] = []
        over = False
        for promotion in promotions:
            if promotion.phase != SUCCEEDED:
                continue
            if promotion.freight == self._freight.name:
                stay = [promotion] if over else [*stay, promotion]
                over = False
            elif self._is_of_warehouse(promotion):
                over = True
        return stay

    def _was_there(self, promotions: Sequence[Promotion], own: Sequence[Promotion]) -> bool:
        """Return whether the Freight was in the Stage when its newest Promotion ended, which then changed nothing."""
        newest = own[-1] if own else None
        stay = self._last_stay(
            [candidate for candidate in promotions if newest and candidate.order <= newest.order]
        )
        return bool(stay) and not any(
            candidate.phase == SUCCEEDED
            and candidate.freight != self._freight.name
            and self._is_of_warehouse(candidate)
            for candidate in promotions
            if newest and stay[-1].order < candidate.order < newest.order
        )

    def _left(
        self, stage: Stage, promotions: Sequence[Promotion], own: Sequence[Promotion]
    ) -> StageProgress | None:
        """Return the progress of Freight that was in the Stage, or arrives there at this moment."""
        warehouse, name = self._freight.warehouse, self._freight.name
        held = [entry[warehouse].name for entry in stage.history if warehouse in entry]
        if not own and stage.name not in self._freight.verified_in and name not in held:
            return None
        stay = self._last_stay(promotions)
        arrived = stay[-1] if stay else None
        last = stage.last_promotion
        if arrived is not None and (last is None or last.order < arrived.order):
            return replace(
                self._blank(stage, StageState.ARRIVING),
                since=arrived.finished_at,
                actor=actor_name(arrived.actor),
                promotion=arrived.name,
            )
        successor, until = self._successor(stage, promotions, arrived, held)
        return replace(
            self._blank(stage, StageState.REPLACED),
            since=stay[0].finished_at if stay else None,
            until=until,
            other=successor,
            promotion=arrived.name if arrived else "",
        )

    def _successor(
        self, stage: Stage, promotions: Sequence[Promotion], arrived: Promotion | None, held: Sequence[str]
    ) -> tuple[FreightName | None, datetime | None]:
        """Return the Freight that replaced this one in the Stage, and when, as far as that is known."""
        name = self._freight.name
        following = [
            promotion
            for promotion in promotions
            if promotion.phase == SUCCEEDED and promotion.freight != name and self._is_of_warehouse(promotion)
        ]
        if arrived is not None:
            after = next((promotion for promotion in following if promotion.order > arrived.order), None)
            if after is not None:
                return self._pipeline.name_of(after.freight), after.finished_at
        successor = held[held.index(name) - 1] if name in held[1:] else ""
        if not successor:
            return None, None
        entered = next(
            (candidate.finished_at for candidate in reversed(following) if candidate.freight == successor),
            None,
        )
        known = self._pipeline.freight.get(successor)
        if held[0] == successor and known is not None:
            entered = known.currently_in.get(stage.name) or entered
        name_in_stage = next(
            entry[self._freight.warehouse]
            for entry in stage.history
            if self._freight.warehouse in entry and entry[self._freight.warehouse].name == successor
        )
        return self._known_as(name_in_stage), entered

    def _missing(self, stage: Stage, request: FreightRequest) -> StageProgress | None:
        missing = self._what_is_missing(self._freight, stage, request)
        if missing is None:
            return None
        causes = tuple(
            self.progress(self._pipeline.stages[name])
            for name in missing.upstreams
            if name in self._pipeline.stages
        )
        progress = self._blank(stage, missing.state)
        if missing.state in {StageState.NOT_REACHED, StageState.WAITING_FOR_VERIFICATION}:
            hopeless = [cause.stuck or cause.state in _NEVER_VERIFIED for cause in causes]
            quantifier: Callable[[Sequence[bool]], bool] = any if request.all_upstreams else all
            progress = replace(progress, stuck=quantifier(hopeless))
        return replace(
            progress,
            until=missing.until,
            upstreams=missing.upstreams,
            all_upstreams=request.all_upstreams,
            causes=causes,
            soak=request.soak,
            soaked=missing.soaked,
        )

    def _what_is_missing(
        self, freight: FreightStatus, stage: Stage, request: FreightRequest
    ) -> Missing | None:
        return missing_for(freight, stage, request, self._pipeline.stages, self._pipeline.now)

    def _available(self, stage: Stage, request: FreightRequest) -> StageProgress:
        """Return the progress of Freight that could be promoted now."""
        blank = self._blank(stage, StageState.IMMINENT)
        if not blank.automatic:
            return replace(
                blank, state=StageState.AWAITING_PROMOTION, other=self._newer_in(stage), stuck=True
            )
        hold = stage.holds.get(self._freight.warehouse)
        if hold is not None:
            return replace(
                blank,
                state=StageState.HELD,
                since=hold.created_at,
                actor=actor_name(hold.actor),
                other=self._pipeline.name_of(hold.freight) if hold.freight else None,
                stuck=True,
            )
        newer = self._newer(stage, request)
        if newer is not None:
            return replace(blank, state=StageState.SUPERSEDED, other=newer, stuck=True)
        ready = stage.condition("Ready")
        if ready is not None and ready.status == "False" and ready.reason == "ReconcileError":
            return replace(blank, state=StageState.RECONCILE_ERROR, message=ready.message)
        if stage.window_closed:
            return replace(
                blank, state=StageState.WINDOW_CLOSED, until=stage.next_open, message=stage.window_reason
            )
        return blank

    def _newer_in(self, stage: Stage) -> FreightName | None:
        """Return the Freight in the Stage if it is newer than this one, or None."""
        held = stage.current(self._freight.warehouse)
        current = self._pipeline.freight.get(held.name) if held else None
        return current.known_as if current and newest_first(current) > newest_first(self._freight) else None

    def _newer(self, stage: Stage, request: FreightRequest) -> FreightName | None:
        """Return the Freight that Kargo promotes automatically instead of this one, or None."""
        freight = self._freight
        if request.match_upstream and request.upstreams:
            upstream = self._pipeline.stages.get(request.upstreams[0])
            current = upstream.current(freight.warehouse) if upstream else None
            return self._known_as(current) if current and current.name != freight.name else None
        available = (other for other in self._newest if self._what_is_missing(other, stage, request) is None)
        newest = next(available, None)
        return newest.known_as if newest else None

    @cached_property
    def _newest(self) -> Sequence[FreightStatus]:
        """Return the Freight of the Warehouse that is newer than this one, the newest first."""
        newer = (
            other
            for other in self._pipeline.freight.values()
            if other.warehouse == self._freight.warehouse
            and newest_first(other) > newest_first(self._freight)
        )
        return sorted(newer, key=newest_first, reverse=True)


def _order(promotion: Promotion) -> str:
    return promotion.order


def newest_first(freight: FreightStatus) -> tuple[datetime, str]:
    """Return the key that Kargo orders Freight by: that of the newest is the largest."""
    return freight.discovered_at or freight.created_at or _LONG_AGO, freight.name
