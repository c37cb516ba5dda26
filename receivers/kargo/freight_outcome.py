"""What becomes of a discovered artifact: Freight, or the reason why there is none.

Source: `syncWarehouse` in Kargo's `pkg/controller/warehouses/warehouses.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from receivers.kargo.artifacts import Freight
from receivers.kargo.conditions import CREATION_FAILED, MISSING_ARTIFACTS, find_condition, has_condition
from receivers.kargo.discovery import DiscoveryPosition, explain_rank
from receivers.kargo.progress_states import (
    AttributedPush,
    Ended,
    Lookup,
    LookupNeeded,
    Observation,
    ProgressState,
    RefreshPhase,
    RefreshRequest,
    RetryNeeded,
    Waiting,
)
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.refresh_outcomes import RefreshOutcome, RetryCause
from receivers.kargo.resources import Warehouse

# How long before a push Freight may have been created and still result from it, because clocks differ or because the
# registry had the tag before Docker Hub's request came. Within that, the log decides, and beyond it time does.
UNCERTAIN: Final = timedelta(minutes=15)

_NOTHING_NEW: Final = "Kargo discovered nothing new: Freight with these artifacts existed before"

# Reasons of a Ready condition that is false: what Kargo's Warehouse controller writes.
_NEXT_DISCOVERY: Final = ("DiscoveryInProgress", "DiscoveryFailure")


def state_after_discovery(
    request: RefreshRequest, observed: Observation, position: DiscoveryPosition
) -> ProgressState:
    """Return the state of a refresh whose pushed artifact was discovered at `position`."""
    push, warehouse = request.push, observed.warehouse
    digest = position.artifact.digest if push.tag else ""
    holding = [freight for freight in observed.freight if freight.holds(push, digest)]
    created = _freight_of_push(request, observed, holding)
    if isinstance(created, LookupNeeded):
        return created
    if created is not None:
        return Ended(RefreshOutcome.FREIGHT_CREATED, freight_sentence(created, push), created)
    if warehouse.creation_policy == "Manual":
        tag = quoted(position.artifact.tag)
        text = f"Kargo discovered {tag}; the creation policy is Manual, so Freight must be created manually"
        manual = Ended(RefreshOutcome.MANUAL_CREATION_POLICY, text)
        return _not_chosen(request, observed, holding, manual)
    if (blocked := _blocked_by_condition(warehouse)) is not None:
        return blocked
    outranked: ProgressState | None = None
    if position.index > 0 and push.tag:
        not_newest = Ended(RefreshOutcome.NOT_NEWEST, explain_rank(position))
        outranked = _not_chosen(request, observed, holding, not_newest)
    if has_condition(warehouse, "Ready", "False", *_NEXT_DISCOVERY):
        # This discovery belongs to a later refresh. It removed the conditions that described the result of ours.
        text = "Kargo has started the next discovery; its result decides"
        on_timeout = outranked if isinstance(outranked, (Ended, RetryNeeded)) else _not_created(text)
        return Waiting(RefreshPhase.DISCOVERY, text, on_timeout)
    return outranked or _from_created_condition(request, observed, holding)


def state_without_push(request: RefreshRequest, observed: Observation) -> ProgressState:
    """Return the state, after the discovery, of a refresh whose delivery names no push: any new Freight is its result.

    Those are Warehouses that an action of a `generic` receiver selects, or that a request of the API names.
    """
    warehouse = observed.warehouse
    if has_condition(warehouse, "FreightCreated", "True", "NewFreight"):
        return _created_without_push(request, observed)
    if has_condition(warehouse, "FreightCreated", "False", "AlreadyExists"):
        return Ended(RefreshOutcome.ALREADY_CURRENT, _NOTHING_NEW)
    if warehouse.creation_policy == "Manual":
        text = "the creation policy is Manual, so Freight must be created manually"
        return Ended(RefreshOutcome.MANUAL_CREATION_POLICY, text)
    if (blocked := _blocked_by_condition(warehouse)) is not None:
        return blocked
    text = "Kargo has discovered artifacts and has not created Freight yet"
    return Waiting(
        RefreshPhase.FREIGHT, text, _not_created("Kargo discovered artifacts but never created Freight")
    )


def _created_without_push(request: RefreshRequest, observed: Observation) -> ProgressState:
    created = latest_created_freight(observed)
    if created is None and not observed.last_freight_gone:
        return LookupNeeded(Lookup.LAST_FREIGHT)
    if created is not None and _is_older(created, request.since - UNCERTAIN):
        return Ended(RefreshOutcome.ALREADY_CURRENT, _NOTHING_NEW, created)
    name = created.alias or created.name if created else observed.warehouse.last_freight_id
    return Ended(RefreshOutcome.FREIGHT_CREATED, f"Kargo created Freight {name}", created)


def content_predates(request: RefreshRequest, freight: Iterable[Freight], digest: str) -> bool:
    """Say whether one of these pieces of Freight, all of the Warehouse, held what was discovered before the push.

    Docker Hub sends no digest. So this is either the same content pushed again, or what the tag pointed to before,
    because the registry lags.
    """
    push = request.push
    return bool(push.tag) and any(
        _is_older(piece, request.since) for piece in freight if piece.holds(push, digest)
    )


def final_state(request: RefreshRequest, retry: RetryNeeded, freight: Sequence[Freight]) -> Ended:
    """Return the final state of a refresh whose retries are exhausted: Freight if there is some by now."""
    recent = (piece for piece in reversed(freight) if not _is_older(piece, request.since))
    created = next((piece for piece in recent if piece.holds(request.push)), None)
    if created is not None:
        return Ended(RefreshOutcome.FREIGHT_CREATED, freight_sentence(created, request.push), created)
    return Ended(retry.outcome, retry.reason, retry.freight)


def latest_created_freight(observed: Observation) -> Freight | None:
    """Return the Freight that the Warehouse says it has just created, if it was observed."""
    if not has_condition(observed.warehouse, "FreightCreated", "True", "NewFreight"):
        return None
    name = observed.warehouse.last_freight_id
    return next((freight for freight in reversed(observed.freight) if freight.name == name), None)


def freight_sentence(freight: Freight, push: Push) -> str:
    """Return the sentence for a push that became Freight."""
    artifact = f"{push.repository}:{push.tag}" if push.tag else push.repository
    if push.is_git and push.commit:
        artifact = f"commit {push.commit[:12]} of {push.repository}"
    return f"Freight {freight.alias or freight.name} contains {artifact}"


def _freight_of_push(
    request: RefreshRequest, observed: Observation, holding: Sequence[Freight]
) -> Freight | LookupNeeded | None:
    """Return the Freight that results from the push, among those that hold what was discovered; None if none does.

    Freight that Kargo has just created does, whatever the clocks say, and Freight that another delivery of the push led
    to. Freight does not if its content is in Freight that is older than the push, or if an earlier push of the tag led
    to it. Times decide only where the log knows nothing.
    """
    created = latest_created_freight(observed)
    others = [piece for piece in holding if piece != created]
    predates = content_predates(request, others, "")
    if created in holding and not predates:
        return created
    if not holding or _is_older(holding[-1], request.since - UNCERTAIN):
        return None
    if not request.push.tag:
        return None if _is_older(holding[-1], request.since) else holding[-1]
    if observed.attributions is None:
        return LookupNeeded(Lookup.ATTRIBUTIONS)
    pushes = [
        attributed
        for piece in holding
        for attributed in observed.attributions.get(piece.name, ())
        if (attributed.repository, attributed.tag) == (request.push.repository, request.push.tag)
    ]
    is_result = any(_is_same_push(attributed, request) for attributed in pushes) or not (
        predates or any(_is_earlier_push(attributed, request) for attributed in pushes)
    )
    return holding[-1] if is_result else None


def _is_same_push(attributed: AttributedPush, request: RefreshRequest) -> bool:
    """Say whether both are deliveries of one push: those have the same time. Without it, that is unknown."""
    return attributed.pushed_at is not None and attributed.pushed_at == request.push.pushed_at


def _is_earlier_push(attributed: AttributedPush, request: RefreshRequest) -> bool:
    return attributed.pushed_at != request.push.pushed_at and attributed.received_at < request.received_at


def _is_older(freight: Freight, at: datetime) -> bool:
    return freight.created_at is None or freight.created_at < at


def _blocked_by_condition(warehouse: Warehouse) -> ProgressState | None:
    """Return the state if a condition says why Kargo creates no Freight; None if no condition does."""
    ready = find_condition(warehouse, "Ready")
    reason, message = (ready.reason, ready.message) if ready and ready.status == "False" else ("", "")
    if reason in MISSING_ARTIFACTS:
        text = f"Freight needs an artifact of every subscription: {message}"
        return Ended(RefreshOutcome.ARTIFACTS_MISSING, text)
    if reason == "CriteriaEvaluationFailed":
        return Ended(RefreshOutcome.CRITERIA_NOT_MET, message)
    if has_condition(warehouse, "FreightCreationCriteriaSatisfied", "False", "CriteriaNotSatisfied"):
        text = f"the Freight creation criteria are not met: {warehouse.criteria}"
        return Ended(RefreshOutcome.CRITERIA_NOT_MET, text)
    if reason in CREATION_FAILED:
        return Waiting(RefreshPhase.FREIGHT, message, _not_created(message))
    return None


def _not_created(reason: str) -> Ended:
    return Ended(RefreshOutcome.FREIGHT_FAILED, reason)


def _not_chosen(
    request: RefreshRequest, observed: Observation, holding: Sequence[Freight], ended: Ended
) -> ProgressState:
    """Return the state of a push of which Kargo creates no Freight by itself: `ended`, unless there is Freight."""
    if not holding and not observed.listed:
        return LookupNeeded(Lookup.ALL_FREIGHT)
    return _already_exists(request, holding[-1]) if holding else ended


def _from_created_condition(
    request: RefreshRequest, observed: Observation, holding: Sequence[Freight]
) -> ProgressState:
    """Return the state according to the condition FreightCreated; the pushed artifact is first in its subscription."""
    warehouse = observed.warehouse
    if has_condition(warehouse, "FreightCreated", "False", "AlreadyExists"):
        if not holding and not observed.listed:
            return LookupNeeded(Lookup.ALL_FREIGHT)
        return _already_exists(request, holding[-1] if holding else None)
    if has_condition(warehouse, "FreightCreated", "True", "NewFreight"):
        return _just_created(request, observed, holding)
    return Waiting(
        RefreshPhase.FREIGHT,
        "Kargo has discovered the tag and has not created Freight yet",
        _not_created("Kargo discovered the tag but never created Freight"),
    )


def _just_created(
    request: RefreshRequest, observed: Observation, holding: Sequence[Freight]
) -> ProgressState:
    """Return the state when Kargo says that it has just created Freight, which does not result from this push."""
    name = observed.warehouse.last_freight_id
    created = latest_created_freight(observed)
    if created in holding:
        # Another artifact is new; what was pushed was in Freight before.
        return _already_exists(request, next(piece for piece in reversed(holding) if piece != created))
    if observed.last_freight_gone:
        text = f"Kargo created Freight {name}, which was deleted, or which kargoweb may not read"
        return Ended(RefreshOutcome.FREIGHT_CREATED, text)
    if created is None:
        return LookupNeeded(Lookup.LAST_FREIGHT)
    text = f"Kargo created Freight {name}, which doesn't contain this push"
    return Waiting(RefreshPhase.FREIGHT, text, _not_created(text))


def _already_exists(request: RefreshRequest, existing: Freight | None) -> ProgressState:
    name = f" ({existing.alias or existing.name})" if existing else ""
    text = f"Freight with this content existed before the push{name}"
    if existing is not None and not _is_older(existing, request.since):
        text = f"an earlier push of the tag led to Freight with this content{name}"
    if not request.push.tag:
        return Ended(RefreshOutcome.ALREADY_CURRENT, text, existing)
    # Either the same content was pushed again, or the registry still serves what the tag pointed to before.
    return RetryNeeded(RetryCause.SAME_CONTENT, RefreshOutcome.ALREADY_CURRENT, text, existing)
