"""Checks of one Warehouse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory, Subject, condition_message
from receivers.health.shell_commands import describe_warehouse, edit_warehouse
from receivers.health.subscription_checks import subscription_findings
from receivers.health.warehouse_problems import CRITERIA_FAILED, WarehouseProblem
from receivers.kargo.conditions import MISSING_ARTIFACTS
from receivers.kargo.discovery import is_rate_limit
from receivers.kargo.golang.goduration import format_duration, parse_duration
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse

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

    `covered`: its project or the cluster has a Docker Hub receiver. `min_interval` is the shortest interval at which
    Kargo polls. `problem` is why Kargo discovers no artifacts or creates no Freight, None if it does.
    """

    covered: bool
    min_interval: timedelta
    problem: WarehouseProblem | None = None
    missed: tuple[MissedPushes, ...] = ()


def warehouse_findings(warehouse: Warehouse, facts: WarehouseFacts) -> Iterator[Finding]:
    """Yield the findings about one Warehouse."""
    factory = FindingFactory(Subject.WAREHOUSE, warehouse.project, warehouse.name)
    subscriptions = list(subscription_findings(factory, warehouse, covered=facts.covered))
    yield from subscriptions
    if finding := _interval(factory, warehouse, facts.min_interval):
        yield finding
    # Kargo discovers nothing for a Warehouse with an invalid subscription, whose finding says what to do.
    explained = any(finding.check == Check.INVALID_SUBSCRIPTION for finding in subscriptions)
    if facts.problem is not None and not (explained and facts.problem.is_discovery):
        yield _problem(factory, facts.problem)
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


def _problem(factory: FindingFactory, problem: WarehouseProblem) -> Finding:
    message = condition_message(problem.condition)
    return (
        _discovery_failed(factory, message) if problem.is_discovery else _blocked(factory, problem, message)
    )


def _discovery_failed(factory: FindingFactory, message: str) -> Finding:
    limited = is_rate_limit(message)
    return factory.urgent(
        Check.DISCOVERY_FAILED,
        f"Kargo's last attempt to discover artifacts failed. {message}.",
        _RATE_LIMITED if limited else _FIX_ERROR,
        command=describe_warehouse(factory.project, factory.name),
        identity="rate limit" if limited else _VARIABLE_PARTS.sub("#", message),
        common_cause=True,
    )


def _blocked(factory: FindingFactory, problem: WarehouseProblem, message: str) -> Finding:
    reason, edit = problem.condition.reason, edit_warehouse(factory.project, factory.name)
    identity = f"{reason} {_VARIABLE_PARTS.sub('#', message)}"
    if reason in MISSING_ARTIFACTS:
        return factory.warning(
            Check.FREIGHT_BLOCKED,
            f"Kargo creates no Freight: it needs an artifact of every subscription. {message}.",
            "Push an artifact that the subscription selects, or correct the subscription.",
            command=edit,
            identity=identity,
        )
    if reason == CRITERIA_FAILED:
        return factory.urgent(
            Check.FREIGHT_BLOCKED,
            f"Kargo creates no Freight: it can't evaluate the Freight creation criteria. {message}.",
            "Fix spec.freightCreationCriteria.expression.",
            command=edit,
            identity=identity,
        )
    return factory.urgent(
        Check.FREIGHT_BLOCKED,
        f"Kargo failed to create Freight. {message}.",
        "Fix the error above.",
        command=describe_warehouse(factory.project, factory.name),
        identity=identity,
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
        common_cause=True,
    )
