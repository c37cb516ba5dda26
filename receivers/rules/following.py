"""How far a refresh is, from what a Warehouse says of itself and from the Freight there is.

`step` answers one question: given what was asked and what can be seen now, where does the story stand? It keeps nothing
and asks nobody; who follows (`receivers.following`) calls it again whenever something has changed.

Source: Kargo's `pkg/controller/warehouses/warehouses.go`. Its traps: `lastHandledRefresh` is set although discovery
failed, the retry that follows skips discovery and turns `Ready` again, and `discoveredAt` has whole seconds of another
clock than ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final, TypeAlias

from receivers.rules.artifacts import Discovered, Freight
from receivers.rules.discovery import (
    Place,
    best_place,
    beyond_limit,
    is_rate_limit,
    named_subscription,
    selecting,
    why_not_there,
)
from receivers.rules.outcomes import RefreshOutcome
from receivers.rules.push import Push
from receivers.rules.resources import Condition, Warehouse
from receivers.rules.times import parse_time, whole_second
from receivers.rules.wording import quoted

# A push that a sender says is older than this is not a delayed delivery: its clock, or its body, cannot be believed.
BELIEVABLE_DELAY: Final = timedelta(hours=1)
# Docker Hub's clock, the cluster's and ours.
CLOCKS_APART: Final = timedelta(seconds=10)

_MISSING: Final = frozenset(
    {"MissingCommits", "MissingImageReferences", "MissingChartVersions", "MissingArtifacts"}
)
_UNDER_WAY: Final = ("DiscoveryInProgress", "DiscoveryFailure")
_NOT_MADE: Final = frozenset({"FreightBuildFailure", "FreightCreationFailure"})


class Cause(StrEnum):
    """Why a Warehouse is to be asked again."""

    NOT_HANDLED = "not handled"
    DISCOVERY_FAILED = "discovery failed"
    RATE_LIMITED = "rate limited"
    NOT_VISIBLE = "tag not visible"
    SAME_CONTENT = "same content"


class Need(Enum):
    """What has to be looked at before the story can go on; all of it is in the cluster and not in the mirror."""

    ARTIFACTS = "what the Warehouse has discovered"
    LAST_FREIGHT = "the Freight that the Warehouse made last"
    ALL_FREIGHT = "all Freight of the project"


class Patience(Enum):
    """What is waited for; how long is for whoever follows to say."""

    HANDLING = "a controller to take up the refresh"
    DISCOVERY = "discovery, which is under way"
    FREIGHT = "Kargo to make Freight"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of a Warehouse: for which push, which reached us when, and with which token, the last one.

    `discovered_before` is the `discoveredAt` that the Warehouse had then. `witnessed` says whether `discoveredAt` was
    seen to change together with the handling of the token, None if nobody saw that moment. `failure` is Kargo's message
    of a failed discovery since, as Kargo does not keep it.
    """

    push: Push
    received_at: datetime
    token: str
    discovered_before: str = ""
    witnessed: bool | None = None
    failure: str = ""

    @property
    def since(self) -> datetime:
        """Return the second from which on Freight can have come of this push."""
        pushed_at = self.push.pushed_at
        earliest = self.received_at - BELIEVABLE_DELAY
        if pushed_at is not None and earliest <= pushed_at <= self.received_at:
            return whole_second(pushed_at)
        return whole_second(self.received_at)


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be seen now: the Warehouse, Freight of it (oldest first), and, if looked up, what it has discovered.

    `all_freight`: as far as the watch tells, none that was made since the push is missing; `listed`: none at all is.
    `last_freight_gone`: the Freight that the Warehouse says it made last cannot be had.
    """

    warehouse: Warehouse
    freight: Sequence[Freight] = ()
    discovered: Sequence[Discovered] | None = None
    all_freight: bool = False
    listed: bool = False
    last_freight_gone: bool = False


@dataclass(frozen=True, slots=True)
class Looking:
    """More has to be looked up."""

    need: Need


@dataclass(frozen=True, slots=True)
class Lost:
    """Kargo will not come to it by itself: ask again or, when that was done often enough, end with `outcome`."""

    cause: Cause
    outcome: RefreshOutcome
    reason: str
    freight: Freight | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The story has ended."""

    outcome: RefreshOutcome
    reason: str
    freight: Freight | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until something changes; `otherwise` is how it stands when patience ends."""

    patience: Patience
    reason: str
    otherwise: Lost | Ended


Stand: TypeAlias = Waiting | Looking | Lost | Ended


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: handled, discovered (with the digest of the pushed tag, if known), and how it stands now."""

    stand: Stand
    handled: bool = False
    discovered: bool = False
    digest: str = ""


def step(request: Request, seen: Seen) -> Step:
    """Return how far the refresh is."""
    warehouse = seen.warehouse
    if not is_handled(request, warehouse):
        return Step(_until_handled(warehouse))
    fresh = is_fresh(request, warehouse)
    if fresh is False:
        return Step(_not_discovered(request, warehouse), handled=True)
    made = _just_made(seen) if fresh else None
    if made is not None and (artifact := made.holds(request.push)):
        ended = Ended(RefreshOutcome.FREIGHT, _holds(made, request.push), made)
        return Step(ended, handled=True, discovered=True, digest=artifact.digest)
    if seen.discovered is None:
        return Step(Looking(Need.ARTIFACTS), handled=True)
    return _discovered(request, seen, seen.discovered, certain=fresh is True)


def is_handled(request: Request, warehouse: Warehouse) -> bool:
    """Say whether Kargo has handled our token, or one that came later."""
    last = warehouse.last_handled_refresh
    ours, theirs = parse_time(request.token), parse_time(last)
    return bool(last) and (
        last == request.token or (ours is not None and theirs is not None and theirs > ours)
    )


def is_fresh(request: Request, warehouse: Warehouse) -> bool | None:
    """Say whether artifacts were discovered since we asked; None: in that very second, before or after.

    Kargo writes `discoveredAt` and `lastHandledRefresh` at once, so whoever sees that moment needs no clock. Without a
    witness the clocks are compared.
    """
    at, asked = parse_time(warehouse.discovered_at), parse_time(request.token)
    if at is None:
        return False
    same_second = asked is not None and at == whole_second(asked)
    if request.witnessed is None:
        if not same_second:
            return asked is not None and at > asked
        return True if warehouse.discovered_at != request.discovered_before else None
    return True if request.witnessed else (None if same_second else False)


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
        return Ended(RefreshOutcome.FREIGHT, _holds(made, request.push), made)
    return Ended(lost.outcome, lost.reason, lost.freight)


def condition(warehouse: Warehouse, type_: str) -> Condition | None:
    """Return the condition of that type."""
    return next((one for one in warehouse.conditions if one.type == type_), None)


def discovery_failure(warehouse: Warehouse) -> str:
    """Return Kargo's message if its last discovery of the Warehouse failed and it still says so; else nothing."""
    healthy = condition(warehouse, "Healthy")
    if healthy is None or healthy.status != "False" or healthy.reason != "DiscoveryFailed":
        return ""
    return healthy.message.removeprefix("Unable to discover artifacts: ")


def _just_made(seen: Seen) -> Freight | None:
    """Return the Freight that Kargo says it has just made, if it is known."""
    if not _says(seen.warehouse, "FreightCreated", "True", "NewFreight"):
        return None
    name = seen.warehouse.last_freight_id
    return next((one for one in reversed(seen.freight) if one.name == name), None)


def _until_handled(warehouse: Warehouse) -> Stand:
    if _says(warehouse, "Reconciling", "True", "ScheduledDiscovery"):
        patience, text = Patience.DISCOVERY, "Kargo is discovering artifacts"
    else:
        shard = f" of shard {quoted(warehouse.shard)}" if warehouse.shard else ""
        patience, text = Patience.HANDLING, f"the controller{shard} has not answered yet"
    return Waiting(patience, text, Lost(Cause.NOT_HANDLED, RefreshOutcome.NOT_HANDLED, text))


def _not_discovered(request: Request, warehouse: Warehouse) -> Lost:
    message = discovery_failure(warehouse) or request.failure
    if not message:
        text = "Kargo marked the refresh as handled and discovered nothing; it keeps no reason for that"
        return Lost(Cause.DISCOVERY_FAILED, RefreshOutcome.DISCOVERY_FAILED, text)
    culprit = named_subscription(message, warehouse)
    of = f" of {quoted(culprit)}" if culprit else ""
    if is_rate_limit(message):
        text = f"the registry's rate limit refused the discovery{of}: {message}"
        return Lost(Cause.RATE_LIMITED, RefreshOutcome.DISCOVERY_FAILED, text)
    return Lost(Cause.DISCOVERY_FAILED, RefreshOutcome.DISCOVERY_FAILED, f"discovery{of} failed: {message}")


def _discovered(request: Request, seen: Seen, found: Sequence[Discovered], *, certain: bool) -> Step:
    subscriptions = selecting(request.push, seen.warehouse)
    if not subscriptions:
        text = "the Warehouse was changed meanwhile, and none of its subscriptions selects this push any more"
        return Step(Ended(RefreshOutcome.NO_LONGER_SELECTED, text), handled=True)
    place = best_place(request.push, subscriptions, found)
    if place is not None:
        digest = place.artifact.digest if request.push.tag else ""
        return Step(_with_artifact(request, seen, place), handled=True, discovered=True, digest=digest)
    if not certain and (request.failure or discovery_failure(seen.warehouse)):
        return Step(_not_discovered(request, seen.warehouse), handled=True)
    if limit := beyond_limit(request.push, subscriptions, found):
        return Step(Ended(RefreshOutcome.BEYOND_LIMIT, limit), handled=True)
    text = why_not_there(request.push, subscriptions, found)
    return Step(Lost(Cause.NOT_VISIBLE, RefreshOutcome.TAG_NOT_VISIBLE, text), handled=True)


def _with_artifact(request: Request, seen: Seen, place: Place) -> Stand:
    """Return how it stands with a push that was discovered: what became of it on the way to Freight."""
    push, warehouse = request.push, seen.warehouse
    digest = place.artifact.digest if push.tag else ""
    holding = [one for one in seen.freight if one.holds(push, digest)]
    made = newest_holding(request, holding, digest)
    if made is not None:
        return Ended(RefreshOutcome.FREIGHT, _holds(made, push), made)
    if warehouse.creation_policy == "Manual":
        tag = quoted(place.artifact.tag)
        text = f"{tag} was discovered; with the creation policy Manual somebody makes Freight of it"
        return Ended(RefreshOutcome.MANUAL_POLICY, text)
    if (refused := _why_no_freight(warehouse)) is not None:
        return refused
    stand = _behind_others(seen, place) if place.position > 0 and push.tag else None
    if _says(warehouse, "Ready", "False", *_UNDER_WAY):
        # For a later refresh. Kargo took the conditions away that would tell what became of this one.
        text = "Kargo is at the next discovery already, and will say then"
        return Waiting(Patience.DISCOVERY, text, stand if isinstance(stand, Ended) else _not_made(text))
    return stand or _from_condition(request, seen, holding)


def _why_no_freight(warehouse: Warehouse) -> Stand | None:
    """Return the reason, in the conditions, for which there is no Freight; None if there is none."""
    ready = condition(warehouse, "Ready")
    reason, message = (ready.reason, ready.message) if ready and ready.status == "False" else ("", "")
    if reason in _MISSING:
        return Ended(RefreshOutcome.ARTIFACTS_MISSING, f"Freight needs one of each subscription: {message}")
    if reason == "CriteriaEvaluationFailed":
        return Ended(RefreshOutcome.CRITERIA_NOT_MET, message)
    if _says(warehouse, "FreightCreationCriteriaSatisfied", "False", "CriteriaNotSatisfied"):
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
    if _says(warehouse, "FreightCreated", "False", "AlreadyExists"):
        if not holding and not seen.listed:
            return Looking(Need.ALL_FREIGHT)
        return _already_there(request, holding[-1] if holding else None)
    if _says(warehouse, "FreightCreated", "True", "NewFreight"):
        return _newly_made(request, seen, holding)
    text = "Kargo has discovered the tag and made no Freight of it"
    return Waiting(Patience.FREIGHT, text, _not_made(text))


def _newly_made(request: Request, seen: Seen, holding: Sequence[Freight]) -> Stand:
    """Return how it stands when Kargo says that it has just made Freight, whatever the clocks say."""
    name = seen.warehouse.last_freight_id
    made = _just_made(seen)
    if made is not None and made in holding:
        return Ended(RefreshOutcome.FREIGHT, _holds(made, request.push), made)
    if seen.last_freight_gone:
        text = f"Kargo made Freight {name}, which kargoweb may not read or which is gone"
        return Ended(RefreshOutcome.FREIGHT, text)
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


def _holds(freight: Freight, push: Push) -> str:
    what = f"{push.repository}:{push.tag}" if push.tag else push.repository
    return f"Freight {freight.alias or freight.name} holds {what}"


def _says(warehouse: Warehouse, type_: str, status: str, *reasons: str) -> bool:
    found = condition(warehouse, type_)
    return found is not None and found.status == status and found.reason in reasons
