"""Checks of a receiver's deliveries: how many fail, and how many arrive at an old URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from receivers.deliveries.outcomes import Tone, label, tone
from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory, Severity
from receivers.health.provider_pages import PROVIDERS, ProviderPages
from receivers.kargo.coverage import DOCKER_HUB
from receivers.models import Outcome

MIN_FAILURES: Final = 3  # pushes; one or two failures say little
WARNING_SHARE: Final = 0.2
URGENT_SHARE: Final = 0.5
CHECKED_ELSEWHERE: Final = frozenset({Outcome.RETIRED_URL, Outcome.COLLISION})
"""Outcomes with checks of their own, which say nothing about deliveries to the current URL."""


@dataclass(frozen=True, slots=True)
class OldUrlUse:
    """Recent requests to one old URL of a receiver; `url_suffix` is the last six characters of its digest."""

    url_suffix: str
    count: int
    last_at: datetime


def failure_rate(factory: FindingFactory, outcomes: Mapping[str, int]) -> Finding | None:
    """Return a finding if too many of a receiver's recent pushes, counted by outcome, failed."""
    counted = {outcome: count for outcome, count in outcomes.items() if outcome not in CHECKED_ELSEWHERE}
    failures = {outcome: count for outcome, count in counted.items() if tone(outcome) is Tone.BAD}
    total, failed = sum(counted.values()), sum(failures.values())
    if failed < MIN_FAILURES or failed < WARNING_SHARE * total:
        return None
    most_frequent = max(sorted(failures), key=lambda outcome: failures[outcome])
    name = f'"{label(most_frequent)}"'
    detail = name if len(failures) == 1 else f"most often {name} ({failures[most_frequent]})"
    return factory.create(
        Severity.URGENT if failed >= URGENT_SHARE * total else Severity.WARNING,
        Check.HIGH_FAILURE_RATE,
        f"{failed} of the last {total} pushes failed: {detail}.",
        f"Check the reasons of the deliveries with the outcome {name}, fix the cause, then redeliver them.",
        identity=most_frequent,
    )


def old_url_findings(
    factory: FindingFactory, uses: Iterable[OldUrlUse], kind: str | None = None
) -> Iterator[Finding]:
    """Yield a finding for each old URL that is still in use.

    `kind` is that of the receiver, None if the receiver no longer exists.
    """
    sender = "A provider" if kind is None else PROVIDERS[kind].name
    for use in uses:
        requests = "1 request" if use.count == 1 else f"{use.count} requests"
        yield factory.urgent(
            Check.OLD_URL_IN_USE,
            f"{sender} still uses an old URL of this receiver (…{use.url_suffix}): {requests} recently, the last on "
            f"{use.last_at:%Y-%m-%d %H:%M} UTC. kargoweb rejects these pushes with 404.",
            _REMOVED if kind is None else _replace_url(factory.project, factory.name, PROVIDERS[kind]),
            identity=use.url_suffix,
        )


_REMOVED: Final = (
    "The receiver no longer exists. Delete the webhook at the provider, or replace its URL with that of another "
    "receiver."
)


def _replace_url(project: str, name: str, provider: ProviderPages) -> str:
    page = f"project {project}" if project else "the cluster receivers"
    steps = (
        "open the repository's Webhooks tab, delete the old webhook and add a new one"
        if provider is PROVIDERS[DOCKER_HUB]
        else "change the URL of the webhook"
    )
    return (
        f"Replace the webhook URL at {provider.name} with the receiver's current URL. Copy the URL of receiver {name} "
        f"from the page of {page}. At {provider.name}, {steps}."
    )
