"""What becomes of a discovered artifact: Freight, or the reason why there is none.

Source: `syncWarehouse` in Kargo's `pkg/controller/warehouses/warehouses.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from receivers.kargo.artifacts import Freight
from receivers.kargo.conditions import CREATION_FAILED, MISSING_ARTIFACTS, find_condition, has_condition
from receivers.kargo.discovery import DiscoveryPosition
from receivers.kargo.progress_states import (
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

# Between Docker Hub's clock, the cluster's and ours.
MAX_CLOCK_SKEW: Final = timedelta(seconds=10)

# Reasons of a Ready condition that is false: what Kargo's Warehouse controller writes.
_NEXT_DISCOVERY: Final = ("DiscoveryInProgress", "DiscoveryFailure")


def state_after_discovery(
    request: RefreshRequest, observed: Observation, position: DiscoveryPosition
) -> ProgressState:
    """Return the state of a refresh whose pushed artifact was discovered at `position`."""
    push, warehouse = request.push, observed.warehouse
    digest = position.artifact.digest if push.tag else ""
    holding = [freight for freight in observed.freight if freight.holds(push, digest)]
    created = newest_freight_since(request, holding, digest)
    if created is not None:
        return Ended(RefreshOutcome.FREIGHT_CREATED, freight_sentence(created, push), created)
    if warehouse.creation_policy == "Manual":
        tag = quoted(position.artifact.tag)
        text = f"Kargo discovered {tag}; the creation policy is Manual, so Freight must be created manually"
        return Ended(RefreshOutcome.MANUAL_CREATION_POLICY, text)
    if (blocked := _blocked_by_condition(warehouse)) is not None:
        return blocked
    outranked = _outranked(observed, position) if position.index > 0 and push.tag else None
    if has_condition(warehouse, "Ready", "False", *_NEXT_DISCOVERY):
        # This discovery belongs to a later refresh. It removed the conditions that described the result of ours.
        text = "Kargo has started the next discovery; its result decides"
        on_timeout = outranked if isinstance(outranked, Ended) else _not_created(text)
        return Waiting(RefreshPhase.DISCOVERY, text, on_timeout)
    return outranked or _from_created_condition(request, observed, holding)


def newest_freight_since(
    request: RefreshRequest, freight: Sequence[Freight], digest: str = ""
) -> Freight | None:
    """Return the newest Freight that holds the pushed artifact and was created since the push.

    A digest allows for clock skew: it cannot be mistaken for what the tag pointed to before.
    """
    since = request.since - MAX_CLOCK_SKEW if digest else request.since
    recent = (one for one in reversed(freight) if one.created_at is not None and one.created_at >= since)
    return next((one for one in recent if one.holds(request.push, digest)), None)


def final_state(request: RefreshRequest, retry: RetryNeeded, freight: Sequence[Freight]) -> Ended:
    """Return the final state of a refresh whose retries are exhausted: Freight if there is some by now."""
    created = newest_freight_since(request, freight)
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
    return f"Freight {freight.alias or freight.name} contains {artifact}"


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


def _outranked(observed: Observation, position: DiscoveryPosition) -> ProgressState:
    """Return the state of a push whose tag is not the first one discovered."""
    if not observed.all_freight:
        return LookupNeeded(Lookup.ALL_FREIGHT)
    tag, first = quoted(position.artifact.tag), quoted(position.first_tag)
    text = f"Kargo discovered {tag} but creates Freight from {first}, which ranks higher"
    return Ended(RefreshOutcome.NOT_NEWEST, text)


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
    """Return the state when Kargo says that it has just created Freight, whatever the clocks say."""
    name = observed.warehouse.last_freight_id
    created = latest_created_freight(observed)
    if created is not None and created in holding:
        return Ended(RefreshOutcome.FREIGHT_CREATED, freight_sentence(created, request.push), created)
    if observed.last_freight_gone:
        text = f"Kargo created Freight {name}, which is deleted or which kargoweb may not read"
        return Ended(RefreshOutcome.FREIGHT_CREATED, text)
    if created is None:
        return LookupNeeded(Lookup.LAST_FREIGHT)
    text = f"Kargo created Freight {name}, which does not hold this push"
    return Waiting(RefreshPhase.FREIGHT, text, _not_created(text))


def _already_exists(request: RefreshRequest, existing: Freight | None) -> ProgressState:
    name = f" ({existing.alias or existing.name})" if existing else ""
    text = f"Freight with this content existed before the push{name}"
    if not request.push.tag:
        return Ended(RefreshOutcome.ALREADY_CURRENT, text, existing)
    # Either the same content was pushed again, or the registry still serves what the tag pointed to before.
    return RetryNeeded(RetryCause.SAME_CONTENT, RefreshOutcome.ALREADY_CURRENT, text, existing)
