"""What became of a pushed tag in Kargo's discovery: where it stands, or why it is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo import semver
from receivers.kargo.artifacts import Artifact, Discovered
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse
from receivers.kargo.subscriptions import Subscription

_REFUSED_FOR_NOW: Final = ("toomanyrequests", "too many requests", "rate limit", "status code 429", " 429 ")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pushed artifact stands among those of a subscription; 0 is the first, of which Freight is made.

    `first` is the tag of that one.
    """

    position: int
    artifact: Artifact
    first: str


def selecting(push: Push, warehouse: Warehouse) -> tuple[Subscription, ...]:
    """Return the subscriptions of a Warehouse that select the push, as the Warehouse is now."""
    names = frozenset(push.names)
    return tuple(
        one
        for one in warehouse.subscriptions
        if one.repository in names and (not push.tag or one.selector.judge(push.tag).matches)
    )


def best_place(
    push: Push, subscriptions: Iterable[Subscription], found: Sequence[Discovered]
) -> Place | None:
    """Return the best place of the pushed artifact among what was discovered for these subscriptions."""
    names = frozenset(push.names)
    places = (
        Place(position, artifact, one.artifacts[0].tag)
        for subscription in subscriptions
        for one in _of(subscription, found)
        for position, artifact in enumerate(one.artifacts)
        if artifact.is_of(push, names)
    )
    return min(places, key=lambda place: place.position, default=None)


def beyond_limit(push: Push, subscriptions: Iterable[Subscription], found: Sequence[Discovered]) -> str:
    """Return a sentence that says why discoveryLimit keeps the tag out; empty if it does not, or nobody can tell.

    Nobody can with `NewestBuild`: when an image was built is known to the registry only.
    """
    for subscription in subscriptions:
        for one in _of(subscription, found):
            if one.artifacts and 0 < subscription.limit <= len(one.artifacts):
                last = one.artifacts[-1].tag
                rank = _rank(subscription)
                if rank and (mine := rank(push.tag)) and (least := rank(last)) and mine < least:
                    return (
                        f"{quoted(push.tag)} comes after the {subscription.limit} tags that discoveryLimit lets Kargo "
                        f"keep, of which {quoted(last)} is the last ({subscription.strategy})"
                    )
    return ""


def why_not_there(push: Push, subscriptions: Sequence[Subscription], found: Sequence[Discovered]) -> str:
    """Return a sentence about a tag that is not among the discovered ones, with what may be the cause."""
    text = f"Kargo listed the tags of {quoted(push.repository)} and {quoted(push.tag)} was not among them"
    platforms = sorted({one.platform for one in subscriptions if one.platform})
    if platforms:
        return f"{text}; it is passed over if the image is not built for platform {platforms[0]}"
    full = [
        one
        for one in subscriptions
        if one.limit and any(len(each.artifacts) >= one.limit for each in _of(one, found))
    ]
    if full and full[0].strategy == "NewestBuild":
        return f"{text}; it is passed over if {full[0].limit} others (discoveryLimit) were built later"
    return f"{text}: the registry does not list it yet, or it was removed"


def is_rate_limit(message: str) -> bool:
    """Say whether an error of a registry, in Kargo's words, is a refusal for now: Docker Hub's pull rate limit."""
    text = f" {message.lower()} "
    return any(sign in text for sign in _REFUSED_FOR_NOW)


def named_subscription(message: str, warehouse: Warehouse) -> str:
    """Return the repository, as written in the Warehouse, of the subscription that a message of Kargo's names."""
    urls = {one.repo_url for one in warehouse.subscriptions if one.repo_url}
    return next((url for url in sorted(urls, key=len, reverse=True) if f'"{url}"' in message), "")


def _of(subscription: Subscription, found: Iterable[Discovered]) -> list[Discovered]:
    return [
        one
        for one in found
        if (one.kind, one.repository) == (subscription.kind, subscription.repository)
        and one.subscription in ("", subscription.name)
    ]


def _rank(subscription: Subscription) -> Any:
    """Return what gives a tag its rank (greater comes first; None for what is no version); None where nobody knows."""
    if subscription.strategy == "Lexical":
        return lambda tag: (tag,)
    if subscription.strategy == "SemVer":
        return _version_rank
    return None


def _version_rank(tag: str) -> tuple[Any, ...] | None:
    version = semver.parse_version(tag.replace("_", "+"))
    return (semver.order(version), tag) if version else None
