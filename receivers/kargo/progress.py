"""Assesses how far a refresh is, from the Warehouse's status and its Freight.

`assess` is a pure function of the request and the current observation. It keeps no state and performs no I/O; the
caller calls it again whenever something has changed.

Source: Kargo's `pkg/controller/warehouses/warehouses.go`. Its traps: `lastHandledRefresh` is set even if discovery
failed, the retry that follows skips discovery and turns `Ready` true again, and `discoveredAt` has whole seconds of a
clock other than ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from receivers.kargo.artifacts import DiscoveryResult
from receivers.kargo.conditions import discovery_failure, is_discovering
from receivers.kargo.discovery import (
    best_position,
    explain_beyond_limit,
    explain_missing_tag,
    is_rate_limit,
    named_subscription,
    selecting_subscriptions,
)
from receivers.kargo.freight_outcome import (
    content_predates,
    freight_sentence,
    latest_created_freight,
    state_after_discovery,
    state_without_push,
)
from receivers.kargo.progress_states import (
    Ended,
    Lookup,
    LookupNeeded,
    Observation,
    Progress,
    ProgressState,
    RefreshPhase,
    RefreshRequest,
    RetryNeeded,
    Waiting,
)
from receivers.kargo.quoting import quoted
from receivers.kargo.refresh_outcomes import RefreshOutcome, RetryCause
from receivers.kargo.resources import Warehouse
from receivers.kargo.times import parse_time, whole_second


def assess(request: RefreshRequest, observed: Observation) -> Progress:
    """Return how far the refresh is."""
    warehouse = observed.warehouse
    if not request.handled and not is_handled(request.token, warehouse):
        return Progress(_before_handling(warehouse))
    newer = is_newly_discovered(request, warehouse)
    if newer is False:
        return Progress(_discovery_retry(request, warehouse), handled=True)
    if not request.push.repository:
        return _without_push(request, observed, certain=newer is True)
    created = latest_created_freight(observed) if newer else None
    artifact = created.holds(request.push) if created else None
    others = (freight for freight in observed.freight if freight != created)
    if created and artifact and not content_predates(request, others, artifact.digest):
        ended = Ended(RefreshOutcome.FREIGHT_CREATED, freight_sentence(created, request.push), created)
        return Progress(ended, handled=True, discovered=True, digest=artifact.digest)
    if observed.discovered is None:
        return Progress(LookupNeeded(Lookup.ARTIFACTS), handled=True)
    return _after_discovery(request, observed, observed.discovered, certain=newer is True)


def is_handled(token: str, warehouse: Warehouse) -> bool:
    """Say whether the last token that Kargo has handled is this one, or a later one."""
    last = warehouse.last_handled_refresh
    ours, theirs = parse_time(token), parse_time(last)
    return bool(last) and (last == token or (ours is not None and theirs is not None and theirs > ours))


def is_newly_discovered(request: RefreshRequest, warehouse: Warehouse) -> bool | None:
    """Say whether artifacts were discovered since the request; None if both happened within the same second.

    Kargo writes `discoveredAt` and `lastHandledRefresh` together, so an observer of that moment needs no clock.
    Otherwise the clocks are compared.
    """
    discovered_at, requested_at = parse_time(warehouse.discovered_at), parse_time(request.token)
    if discovered_at is None:
        return False
    same_second = requested_at is not None and discovered_at == whole_second(requested_at)
    if request.rediscovered is None:
        if not same_second:
            return requested_at is not None and discovered_at > requested_at
        return True if warehouse.discovered_at != request.discovered_before else None
    return True if request.rediscovered else (None if same_second else False)


def _before_handling(warehouse: Warehouse) -> ProgressState:
    controller = f"the controller of shard {quoted(warehouse.shard)}" if warehouse.shard else "the controller"
    if is_discovering(warehouse):
        phase, text = RefreshPhase.DISCOVERY, "Kargo is discovering artifacts"
        timeout = f"{controller} never finished discovering artifacts"
    else:
        phase, text = RefreshPhase.HANDLING, f"{controller} has not responded yet"
        timeout = f"{controller} never responded"
    return Waiting(phase, text, RetryNeeded(RetryCause.NOT_HANDLED, RefreshOutcome.NOT_HANDLED, timeout))


def _discovery_retry(request: RefreshRequest, warehouse: Warehouse) -> RetryNeeded:
    """Return why Kargo handled the refresh without discovering anything."""
    message = discovery_failure(warehouse) or request.failure
    if not message:
        text = "Kargo marked the refresh as handled, but discovered nothing and recorded no reason"
        return RetryNeeded(RetryCause.DISCOVERY_FAILED, RefreshOutcome.DISCOVERY_FAILED, text)
    failed = named_subscription(message, warehouse)
    of = f" of {quoted(failed)}" if failed else ""
    if is_rate_limit(message):
        text = f"the registry's rate limit blocked discovery{of}: {message}"
        return RetryNeeded(RetryCause.RATE_LIMITED, RefreshOutcome.DISCOVERY_FAILED, text)
    text = f"discovery{of} failed: {message}"
    return RetryNeeded(RetryCause.DISCOVERY_FAILED, RefreshOutcome.DISCOVERY_FAILED, text)


def _without_push(request: RefreshRequest, observed: Observation, *, certain: bool) -> Progress:
    """Return the progress, after the discovery, of a refresh whose delivery names no push."""
    if not certain and (request.failure or discovery_failure(observed.warehouse)):
        return Progress(_discovery_retry(request, observed.warehouse), handled=True)
    return Progress(state_without_push(request, observed), handled=True, discovered=True)


def _after_discovery(
    request: RefreshRequest, observed: Observation, results: Sequence[DiscoveryResult], *, certain: bool
) -> Progress:
    """Return the progress given these discovery results; `certain` if they are newer than the request."""
    push, warehouse = request.push, observed.warehouse
    subscriptions = selecting_subscriptions(push, warehouse)
    if not subscriptions:
        text = "the Warehouse changed after the push, and none of its subscriptions selects the push any more"
        return Progress(Ended(RefreshOutcome.NO_LONGER_SELECTED, text), handled=True)
    position = best_position(push, subscriptions, results)
    if position is not None:
        digest = position.artifact.digest if push.tag else ""
        state = state_after_discovery(request, observed, position)
        return Progress(state, handled=True, discovered=True, digest=digest)
    if not certain and (request.failure or discovery_failure(warehouse)):
        return Progress(_discovery_retry(request, warehouse), handled=True)
    if text := explain_beyond_limit(push, subscriptions, results):
        return Progress(Ended(RefreshOutcome.BEYOND_DISCOVERY_LIMIT, text), handled=True)
    text = explain_missing_tag(push, subscriptions, results)
    retry = RetryNeeded(RetryCause.NOT_VISIBLE, RefreshOutcome.TAG_NOT_VISIBLE, text)
    return Progress(retry, handled=True)
