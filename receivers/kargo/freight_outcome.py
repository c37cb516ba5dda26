"""What becomes of an artifact that was discovered: Freight, or the reason why not.

Source: `syncWarehouse` in Kargo's `pkg/controller/warehouses/warehouses.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from receivers.kargo.artifacts import Freight
from receivers.kargo.conditions import condition, says
from receivers.kargo.discovery import Place
from receivers.kargo.outcomes import RefreshOutcome
from receivers.kargo.progress_types import (
    Cause,
    Ended,
    Looking,
    Lost,
    Need,
    Patience,
    Request,
    Seen,
    Stand,
    Waiting,
)
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse

# Docker Hub's clock, the cluster's and ours.
CLOCKS_APART: Final = timedelta(seconds=10)
_MISSING: Final = frozenset(
    {"MissingCommits", "MissingImageReferences", "MissingChartVersions", "MissingArtifacts"}
)
_UNDER_WAY: Final = ("DiscoveryInProgress", "DiscoveryFailure")
_NOT_MADE: Final = frozenset({"FreightBuildFailure", "FreightCreationFailure"})


def stand_of(request: Request, seen: Seen, place: Place) -> Stand:
    """Return how it stands with a push that was discovered at `place`."""
    push, warehouse = request.push, seen.warehouse
    digest = place.artifact.digest if push.tag else ""
    holding = [one for one in seen.freight if one.holds(push, digest)]
    made = newest_holding(request, holding, digest)
    if made is not None:
        return Ended(RefreshOutcome.FREIGHT_CREATED, told(made, push), made)
    if warehouse.creation_policy == "Manual":
        tag = quoted(place.artifact.tag)
        text = f"{tag} was discovered; with the creation policy Manual somebody makes Freight of it"
        return Ended(RefreshOutcome.MANUAL_CREATION_POLICY, text)
    if (refused := _why_no_freight(warehouse)) is not None:
        return refused
    stand = _behind_others(seen, place) if place.position > 0 and push.tag else None
    if says(warehouse, "Ready", "False", *_UNDER_WAY):
        # For a later refresh. Kargo took the conditions away that would tell what became of this one.
        text = "Kargo is at the next discovery already, and will say then"
        return Waiting(Patience.DISCOVERY, text, stand if isinstance(stand, Ended) else _not_made(text))
    return stand or _from_condition(request, seen, holding)


def newest_holding(request: Request, freight: Sequence[Freight], digest: str = "") -> Freight | None:
    """Return the newest Freight that holds what was pushed and was made since.

    With a digest the clocks may be somewhat apart: there is no mistaking it for what the tag was before.
    """
    since = request.since - CLOCKS_APART if digest else request.since
    made = (one for one in reversed(freight) if one.created_at is not None and one.created_at >= since)
    return next((one for one in made if one.holds(request.push, digest)), None)


def given_up(request: Request, lost: Lost, freight: Sequence[Freight]) -> Ended:
    """Return the end of a story that asking again did not help: Freight all the same, if there is some."""
    made = newest_holding(request, freight)
    if made is not None:
        return Ended(RefreshOutcome.FREIGHT_CREATED, told(made, request.push), made)
    return Ended(lost.outcome, lost.reason, lost.freight)


def just_made(seen: Seen) -> Freight | None:
    """Return the Freight that Kargo says it has just made, if it is known."""
    if not says(seen.warehouse, "FreightCreated", "True", "NewFreight"):
        return None
    name = seen.warehouse.last_freight_id
    return next((one for one in reversed(seen.freight) if one.name == name), None)


def told(freight: Freight, push: Push) -> str:
    """Return the sentence that ends a story well."""
    what = f"{push.repository}:{push.tag}" if push.tag else push.repository
    return f"Freight {freight.alias or freight.name} holds {what}"


def _why_no_freight(warehouse: Warehouse) -> Stand | None:
    """Return the reason, in the conditions, for which there is no Freight; None if there is none."""
    ready = condition(warehouse, "Ready")
    reason, message = (ready.reason, ready.message) if ready and ready.status == "False" else ("", "")
    if reason in _MISSING:
        return Ended(RefreshOutcome.ARTIFACTS_MISSING, f"Freight needs one of each subscription: {message}")
    if reason == "CriteriaEvaluationFailed":
        return Ended(RefreshOutcome.CRITERIA_NOT_MET, message)
    if says(warehouse, "FreightCreationCriteriaSatisfied", "False", "CriteriaNotSatisfied"):
        text = f"the Freight creation criteria are not met: {warehouse.criteria}"
        return Ended(RefreshOutcome.CRITERIA_NOT_MET, text)
    if reason in _NOT_MADE:
        return Waiting(Patience.FREIGHT, message, _not_made(message))
    return None


def _not_made(reason: str) -> Ended:
    return Ended(RefreshOutcome.FREIGHT_FAILED, reason)


def _behind_others(seen: Seen, place: Place) -> Stand:
    if not seen.all_freight:
        return Looking(Need.ALL_FREIGHT)
    tag, first = quoted(place.artifact.tag), quoted(place.first)
    text = f"{tag} was discovered; Freight is made of {first}, which comes before it"
    return Ended(RefreshOutcome.NOT_NEWEST, text)


def _from_condition(request: Request, seen: Seen, holding: Sequence[Freight]) -> Stand:
    """Return what the condition FreightCreated says about a push that Freight is to be made of."""
    warehouse = seen.warehouse
    if says(warehouse, "FreightCreated", "False", "AlreadyExists"):
        if not holding and not seen.listed:
            return Looking(Need.ALL_FREIGHT)
        return _already_there(request, holding[-1] if holding else None)
    if says(warehouse, "FreightCreated", "True", "NewFreight"):
        return _newly_made(request, seen, holding)
    text = "Kargo has discovered the tag and made no Freight of it"
    return Waiting(Patience.FREIGHT, text, _not_made(text))


def _newly_made(request: Request, seen: Seen, holding: Sequence[Freight]) -> Stand:
    """Return how it stands when Kargo says that it has just made Freight, whatever the clocks say."""
    name = seen.warehouse.last_freight_id
    made = just_made(seen)
    if made is not None and made in holding:
        return Ended(RefreshOutcome.FREIGHT_CREATED, told(made, request.push), made)
    if seen.last_freight_gone:
        text = f"Kargo made Freight {name}, which kargoweb may not read or which is gone"
        return Ended(RefreshOutcome.FREIGHT_CREATED, text)
    if made is None:
        return Looking(Need.LAST_FREIGHT)
    text = f"Kargo made Freight {name}, which holds something else"
    return Waiting(Patience.FREIGHT, text, _not_made(text))


def _already_there(request: Request, there: Freight | None) -> Stand:
    name = f" ({there.alias or there.name})" if there else ""
    text = f"Freight with this content existed before the push{name}"
    if not request.push.tag:
        return Ended(RefreshOutcome.ALREADY_CURRENT, text, there)
    # Either the same content was pushed again, or the registry still answers with what the tag was before.
    return Lost(Cause.SAME_CONTENT, RefreshOutcome.ALREADY_CURRENT, text, there)
