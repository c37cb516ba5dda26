"""What every outcome means and what to do about it, in the words of the README, the pages and the commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from receivers.models import Outcome


@dataclass(frozen=True, slots=True)
class Remedy:
    """Sentences for people, without a capital and a full stop. `to_do` is empty where there is nothing to do."""

    means: str
    to_do: str = ""


REMEDIES: Final[Mapping[Outcome, Remedy]] = MappingProxyType(
    {
        Outcome.FREIGHT_CREATED: Remedy(
            "there is Freight that holds what was pushed; its name, alias and digest are kept"
        ),
        Outcome.ALREADY_CURRENT: Remedy("Freight with this content existed before the push"),
        Outcome.NOT_NEWEST: Remedy(
            "the tag was discovered; the subscription puts another one first, of which Freight is made"
        ),
        Outcome.MANUAL_CREATION_POLICY: Remedy(
            "the tag was discovered; somebody makes Freight of it by hand", "make Freight"
        ),
        Outcome.CRITERIA_NOT_MET: Remedy(
            "the Freight creation criteria are false for what was discovered, or cannot be evaluated",
            "look at the expression",
        ),
        Outcome.BEYOND_DISCOVERY_LIMIT: Remedy(
            "the tag is valid, and older than the `discoveryLimit` newest ones", "raise the limit"
        ),
        Outcome.ARTIFACTS_MISSING: Remedy(
            "another subscription of the Warehouse has no artifact", "look at that subscription"
        ),
        Outcome.NO_LONGER_SELECTED: Remedy("the Warehouse was changed meanwhile"),
        Outcome.WAREHOUSE_DELETED: Remedy("the Warehouse was deleted meanwhile"),
        Outcome.TAG_NOT_VISIBLE: Remedy(
            "Kargo listed the tags several times, and the pushed one was never among them",
            "is it in the registry, for the subscription's platform?",
        ),
        Outcome.FREIGHT_FAILED: Remedy(
            "Kargo discovered the tag and made no Freight of it; the reason has its message",
            "the message says",
        ),
        Outcome.DISCOVERY_FAILED: Remedy(
            "discovery failed every time; the reason has Kargo's message and the subscription it names",
            "credentials, rate limit",
        ),
        Outcome.NOT_HANDLED: Remedy(
            "no controller took up the refresh", "is the shard's controller running?"
        ),
        Outcome.NOT_REQUESTED: Remedy(
            "the API server refused the annotation for a day, or for good", "permissions, admission"
        ),
        Outcome.NO_MATCH: Remedy(
            "the push was understood, and no subscription selects it; every one says why",
            "compare the subscription's repository and constraint with what was pushed",
        ),
        Outcome.REFRESHED: Remedy("the Warehouses were asked to refresh, and Kargo is at work"),
        Outcome.PENDING: Remedy("it is stored and being worked on"),
        Outcome.FAILED: Remedy(
            "a Warehouse could not be asked to refresh; it is asked again for a day",
            "can the Kubernetes API be reached, and does it allow the patch?",
        ),
        Outcome.INVALID_BODY: Remedy(
            "the body is not what Docker Hub sends; no Warehouse was touched",
            "what calls this URL? It is for Docker Hub's webhooks",
        ),
        Outcome.TOO_LARGE: Remedy(
            "the body has more than 2 MiB, and was not kept",
            "what calls this URL? Docker Hub's bodies have a few KB",
        ),
        Outcome.RETIRED_URL: Remedy(
            "this URL was the receiver's until its Secret or name changed",
            "put the receiver's URL of today into Docker Hub's webhook",
        ),
        Outcome.UNSUPPORTED_KIND: Remedy(
            "the receiver is of a kind that only Kargo's own server takes",
            "send this webhook to Kargo's own server",
        ),
        Outcome.COLLISION: Remedy(
            "two receivers share one URL, so nobody can say which was meant",
            "give one of them a Secret of its own",
        ),
        Outcome.TEST_REFUSED: Remedy(
            "the ticket that came with it was forged, expired, used before, or meant for another receiver or body; "
            "nothing was refreshed",
            "fire the test again",
        ),
        Outcome.DRY_RUN: Remedy("a test that was to refresh nothing; the verdicts say what it would have"),
    }
)


def remedy(outcome: str) -> Remedy:
    """Return what an `Outcome` or a `RefreshOutcome` means, and what to do. Raises ValueError for anything else."""
    return REMEDIES[Outcome(outcome)]
