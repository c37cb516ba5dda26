"""Checks of one Warehouse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.cluster.heartbeats import Heartbeat
from receivers.deliveries.redaction import redact
from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory, Subject
from receivers.health.shell_commands import describe_warehouse, edit_warehouse
from receivers.health.subscription_checks import subscription_findings
from receivers.kargo.discovery import is_rate_limit
from receivers.kargo.golang.goduration import format_duration, parse_duration
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse

MAX_MESSAGE_LENGTH: Final = 500  # characters of a condition's message
_FAILED: Final = {("Healthy", "DiscoveryFailed"), ("Ready", "DiscoveryFailure")}
_RATE_LIMITED: Final = (
    "This is Docker Hub's rate limit. Give Kargo the credentials of a paid account, or set a longer interval."
)
_FIX_ERROR: Final = "Fix the error above; usually the credentials."
_VARIABLE_PARTS: Final = re.compile(r"[0-9]+|[0-9a-f]{8,}")  # of a message: times, request ids, digests


@dataclass(frozen=True, slots=True)
class MissedPushes:
    """Tags of one repository that Kargo found by polling, without a webhook from Docker Hub."""

    repository: str
    last_tag: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class WarehouseFacts:
    """The facts about a Warehouse, apart from the Warehouse itself.

    `covered`: its project or the cluster has a Docker Hub receiver with a URL. `now` is in UTC. `min_interval` is the
    shortest interval at which Kargo polls. `heartbeats` are those of Kargo's controllers by shard, None if unknown.
    """

    covered: bool
    now: datetime
    min_interval: timedelta
    heartbeats: Mapping[str, Heartbeat] | None = None
    missed: tuple[MissedPushes, ...] = ()


def warehouse_findings(warehouse: Warehouse, facts: WarehouseFacts) -> Iterator[Finding]:
    """Yield the findings about one Warehouse."""
    factory = FindingFactory(Subject.WAREHOUSE, warehouse.project, warehouse.name)
    yield from subscription_findings(factory, warehouse, covered=facts.covered)
    checks = (
        _interval(factory, warehouse, facts.min_interval),
        _controller(factory, warehouse.shard, facts.heartbeats, facts.now),
        _discovery(factory, warehouse),
    )
    yield from filter(None, checks)
    for missed in facts.missed:
        yield _missed_pushes(factory, missed)


def _interval(factory: FindingFactory, warehouse: Warehouse, min_interval: timedelta) -> Finding | None:
    if not warehouse.interval:
        return None
    interval = parse_duration(warehouse.interval)
    if interval is None or interval >= min_interval:
        return None
    minimum = format_duration(min_interval)
    return factory.note(
        Check.INTERVAL_TOO_SHORT,
        f"The interval of {warehouse.interval} has no effect: Kargo's controller polls at most every {minimum}.",
        f"Set spec.interval to {minimum} or more. Or lower MIN_WAREHOUSE_RECONCILIATION_INTERVAL of Kargo's "
        "controller, and set KARGOWEB_KARGO_MIN_INTERVAL to match.",
        command=edit_warehouse(factory.project, factory.name),
        identity=f"{warehouse.interval} {minimum}",
    )


def _controller(
    factory: FindingFactory, shard: str, heartbeats: Mapping[str, Heartbeat] | None, now: datetime
) -> Finding | None:
    """Return a finding if no running controller is responsible. Source: `GetAll` in Kargo's `pkg/heartbeat`."""
    if not heartbeats:
        return None  # unknown, or a version of Kargo that writes no heartbeats
    own = heartbeats.get(shard)
    if own and own.until > now:
        return None
    running = sorted(heartbeat.shard for heartbeat in heartbeats.values() if heartbeat.until > now)
    # A controller with a name may be the default one; its Lease doesn't say so.
    if running and not shard:
        return None
    responsible = (
        f"The controller of shard {quoted(shard)}"
        if shard
        else "The controller of Warehouses without a shard"
    )
    state = f"has been down since {own.until:%Y-%m-%d %H:%M} UTC" if own else "does not exist"
    names = ", ".join(quoted(name) if name else "default" for name in running) or "none"
    return factory.urgent(
        Check.NO_CONTROLLER,
        f"{responsible} {state}, so refreshes are not handled. Running controllers: {names}.",
        "Start Kargo's controller for that shard, or correct spec.shard.",
        command=edit_warehouse(factory.project, factory.name),
        identity=shard,
    )


def _discovery(factory: FindingFactory, warehouse: Warehouse) -> Finding | None:
    failed = [
        condition
        for condition in warehouse.conditions
        if (condition.type, condition.reason) in _FAILED and condition.status == "False"
    ]
    if not failed:
        return None
    message = redact(failed[0].message)[:MAX_MESSAGE_LENGTH].rstrip(".")
    limited = is_rate_limit(message)
    return factory.urgent(
        Check.DISCOVERY_FAILED,
        f"Kargo's last attempt to discover artifacts failed. {message}.",
        _RATE_LIMITED if limited else _FIX_ERROR,
        command=describe_warehouse(factory.project, factory.name),
        identity="rate limit" if limited else _VARIABLE_PARTS.sub("#", message),
    )


def _missed_pushes(factory: FindingFactory, missed: MissedPushes) -> Finding:
    tags = "a tag" if missed.count == 1 else f"{missed.count} tags"
    last = f"{quoted(missed.last_tag)} on {missed.last_at:%Y-%m-%d %H:%M} UTC"
    return factory.warning(
        Check.MISSED_PUSHES,
        f"Docker Hub sent no webhook: Kargo found {tags} of {missed.repository} by polling (last: {last}), but no push "
        "arrived.",
        f"Register the webhook: open https://hub.docker.com/r/{missed.repository}, go to the Webhooks tab, enter the "
        "receiver's URL under Webhook URL, and press +. If the webhook exists, check its View history.",
        identity=missed.repository,
    )
