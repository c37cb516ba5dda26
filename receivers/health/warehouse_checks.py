"""The health of one Warehouse."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.cluster.heartbeats import Heartbeat
from receivers.deliveries.redaction import redact
from receivers.health.finding import About, Finding, Subject
from receivers.health.shell_commands import describe_warehouse, edit_warehouse
from receivers.health.subscription_checks import subscription_findings
from receivers.kargo.discovery import is_rate_limit
from receivers.kargo.golang.goduration import format_duration, parse_duration
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse

LONGEST_MESSAGE: Final = 500  # characters of a condition's message
_FAILED: Final = {("Healthy", "DiscoveryFailed"), ("Ready", "DiscoveryFailure")}
_RATE_LIMITED: Final = (
    "Docker Hub's rate limit: give Kargo credentials of a paid account, or set a longer interval"
)
_MEND: Final = "Mend what the message says; the project's credentials are the usual suspect"
_CHANGING: Final = re.compile(r"[0-9]+|[0-9a-f]{8,}")  # of a message: times, request ids, digests


@dataclass(frozen=True, slots=True)
class MissedPushes:
    """Tags of one repository that Kargo found by itself, and that Docker Hub did not announce to us."""

    repository: str
    last_tag: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class WarehouseFacts:
    """What is known beside the Warehouse itself.

    `covered`: its project or the cluster has a Docker Hub receiver with a URL. `heartbeats` holds the heartbeats of
    Kargo's controllers by shard, or None if they are not known; `now` is in UTC. `shortest_interval` is below which
    Kargo does not go.
    """

    covered: bool
    now: datetime
    shortest_interval: timedelta
    heartbeats: Mapping[str, Heartbeat] | None = None
    missed: tuple[MissedPushes, ...] = ()


def warehouse_findings(warehouse: Warehouse, facts: WarehouseFacts) -> Iterator[Finding]:
    """Yield what there is to say about one Warehouse."""
    about = About(Subject.WAREHOUSE, warehouse.project, warehouse.name)
    yield from subscription_findings(about, warehouse, covered=facts.covered)
    checks = (
        _interval(about, warehouse, facts.shortest_interval),
        _shard(about, warehouse.shard, facts.heartbeats, facts.now),
        _discovery(about, warehouse),
    )
    yield from filter(None, checks)
    for missed in facts.missed:
        yield _not_called(about, missed)


def _interval(about: About, warehouse: Warehouse, shortest: timedelta) -> Finding | None:
    if not warehouse.interval:
        return None
    interval = parse_duration(warehouse.interval)
    if interval is None or interval >= shortest:
        return None
    floor = format_duration(shortest)
    return about.note(
        "short interval",
        f"Its interval of {warehouse.interval} has no effect: Kargo's controller polls every {floor} at most.",
        f"Set spec.interval to {floor} or more, or lower MIN_WAREHOUSE_RECONCILIATION_INTERVAL of Kargo's controller "
        "and tell kargoweb by KARGOWEB_KARGO_MIN_INTERVAL.",
        command=edit_warehouse(about.project, about.name),
        matter=f"{warehouse.interval} {floor}",
    )


def _shard(
    about: About, shard: str, heartbeats: Mapping[str, Heartbeat] | None, now: datetime
) -> Finding | None:
    """Return a finding if no living controller is responsible. Source: `GetAll` in Kargo's `pkg/heartbeat`."""
    if not heartbeats:
        return None  # not known, or a Kargo that writes none
    own = heartbeats.get(shard)
    if own and own.until > now:
        return None
    living = sorted(one.shard for one in heartbeats.values() if one.until > now)
    # A controller with a name may be the default one; its Lease does not say so.
    if living and not shard:
        return None
    whose = f"its shard {quoted(shard)}" if shard else "Warehouses without a shard"
    since = f"has not been heard of since {own.until:%Y-%m-%d %H:%M} UTC" if own else "is not there"
    others = ", ".join(quoted(one) if one else "the one without a name" for one in living) or "none"
    return about.urgent(
        "no controller",
        f"The controller of {whose} {since}, so no refresh is handled. Controllers that live: {others}.",
        "Start Kargo's controller of that shard, or correct spec.shard.",
        command=edit_warehouse(about.project, about.name),
        matter=shard,
    )


def _discovery(about: About, warehouse: Warehouse) -> Finding | None:
    failed = [
        one for one in warehouse.conditions if (one.type, one.reason) in _FAILED and one.status == "False"
    ]
    if not failed:
        return None
    message = redact(failed[0].message)[:LONGEST_MESSAGE].rstrip(".")
    limited = is_rate_limit(message)
    return about.urgent(
        "discovery failed",
        f"Kargo could not discover artifacts the last time it tried. {message}.",
        f"{_RATE_LIMITED if limited else _MEND}.",
        command=describe_warehouse(about.project, about.name),
        matter="rate limit" if limited else _CHANGING.sub("#", message),
    )


def _not_called(about: About, missed: MissedPushes) -> Finding:
    tags = "a tag" if missed.count == 1 else f"{missed.count} tags"
    last = f"{quoted(missed.last_tag)} on {missed.last_at:%Y-%m-%d %H:%M} UTC"
    return about.warning(
        "not called",
        f"Docker Hub did not call us: Kargo found {tags} of {missed.repository} by polling, the last one {last}, and "
        "no push of it arrived.",
        f"Register the webhook: https://hub.docker.com/r/{missed.repository}, Webhooks tab, the receiver's URL under "
        "Webhook URL, +. If it is there, View history says what became of the calls.",
        matter=missed.repository,
    )
