"""How far a refresh is, from what a Warehouse says of itself and from the Freight there is.

`step` answers one question: given what was asked and what can be seen now, where does the story stand? It keeps nothing
and asks nobody; who follows (`receivers.following`) calls it again whenever something has changed.

Source: Kargo's `pkg/controller/warehouses/warehouses.go`. Its traps: `lastHandledRefresh` is set although discovery
failed, the retry that follows skips discovery and turns `Ready` again, and `discoveredAt` has whole seconds of another
clock than ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from receivers.kargo.artifacts import Discovered
from receivers.kargo.conditions import discovery_failure, says
from receivers.kargo.discovery import (
    best_place,
    beyond_limit,
    is_rate_limit,
    named_subscription,
    selecting,
    why_not_there,
)
from receivers.kargo.freight_outcome import just_made, stand_of, told
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
    Step,
    Waiting,
)
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse
from receivers.kargo.times import parse_time, whole_second


def step(request: Request, seen: Seen) -> Step:
    """Return how far the refresh is."""
    warehouse = seen.warehouse
    if not is_handled(request, warehouse):
        return Step(_until_handled(warehouse))
    fresh = is_fresh(request, warehouse)
    if fresh is False:
        return Step(_not_discovered(request, warehouse), handled=True)
    made = just_made(seen) if fresh else None
    if made is not None and (artifact := made.holds(request.push)):
        ended = Ended(RefreshOutcome.FREIGHT_CREATED, told(made, request.push), made)
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


def _until_handled(warehouse: Warehouse) -> Stand:
    if says(warehouse, "Reconciling", "True", "ScheduledDiscovery"):
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
        return Step(stand_of(request, seen, place), handled=True, discovered=True, digest=digest)
    if not certain and (request.failure or discovery_failure(seen.warehouse)):
        return Step(_not_discovered(request, seen.warehouse), handled=True)
    if limit := beyond_limit(request.push, subscriptions, found):
        return Step(Ended(RefreshOutcome.BEYOND_DISCOVERY_LIMIT, limit), handled=True)
    text = why_not_there(request.push, subscriptions, found)
    return Step(Lost(Cause.NOT_VISIBLE, RefreshOutcome.TAG_NOT_VISIBLE, text), handled=True)
