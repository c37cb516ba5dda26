"""What the calls of a receiver say about it: how many end badly, how many come to a URL that it no longer has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from receivers.deliveries.outcomes import Tone, tone
from receivers.health.finding import About, Finding, Severity
from receivers.models import Outcome

FEWEST_BAD: Final = 3  # deliveries; one push gives five or six, but one that fails is no rate
WARNING_SHARE: Final = 0.2
URGENT_SHARE: Final = 0.5
TOLD_ELSEWHERE: Final = frozenset({Outcome.RETIRED_URL, Outcome.COLLISION})
"""Outcomes that have findings of their own and say nothing about what becomes of good calls."""


@dataclass(frozen=True, slots=True)
class RetiredCalls:
    """Recent calls of one former URL of a receiver; `url_suffix` are the last six characters of its digest."""

    url_suffix: str
    count: int
    last_at: datetime


def error_rate(about: About, outcomes: Mapping[str, int]) -> Finding | None:
    """Return a finding if too large a share of a receiver's recent deliveries (counted by outcome) ended badly."""
    counted = {outcome: count for outcome, count in outcomes.items() if outcome not in TOLD_ELSEWHERE}
    bad = {outcome: count for outcome, count in counted.items() if tone(outcome) is Tone.BAD}
    all_, failed = sum(counted.values()), sum(bad.values())
    if failed < FEWEST_BAD or failed < WARNING_SHARE * all_:
        return None
    worst = max(sorted(bad), key=lambda outcome: bad[outcome])
    often = f'"{worst}"' if len(bad) == 1 else f'most often "{worst}" ({bad[worst]})'
    return about.found(
        Severity.URGENT if failed >= URGENT_SHARE * all_ else Severity.WARNING,
        "error rate",
        f"{failed} of its last {all_} deliveries ended badly, {often}.",
        f'Look at its deliveries with the outcome "{worst}": their reasons say more. Redeliver them when it is mended.',
        matter=worst,
    )


def retired_calls(about: About, retired: Iterable[RetiredCalls], *, gone: bool = False) -> Iterator[Finding]:
    """Yield a finding for every former URL that is still called; `gone` if there is no such receiver any more."""
    for calls in retired:
        times = "once" if calls.count == 1 else f"{calls.count} times"
        yield about.urgent(
            "retired URL",
            f"Docker Hub still calls a former URL of it (…{calls.url_suffix}), lately {times}, the last time on "
            f"{calls.last_at:%Y-%m-%d %H:%M} UTC. These pushes are refused with 404.",
            _GONE if gone else _remedy(about.project, about.name),
            matter=calls.url_suffix,
        )


_GONE: Final = (
    "The receiver is no longer there. Delete the webhook in Docker Hub (the repository's Webhooks tab), or register "
    "the URL of another receiver in its place."
)


def _remedy(project: str, name: str) -> str:
    where = f"project {project}" if project else "the cluster receivers"
    return (
        f"Copy the URL that is good now from receiver {name} on the page of {where}, and let it take the place of the "
        "former one in Docker Hub: the repository's Webhooks tab, delete the old webhook, add the new one."
    )
