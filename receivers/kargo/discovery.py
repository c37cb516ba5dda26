"""The pushed tag in Kargo's discovery: its position among the discovered artifacts, or why it is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo import semver
from receivers.kargo.artifacts import Artifact, DiscoveryResult
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse
from receivers.kargo.subscriptions import Subscription

_RATE_LIMIT_SIGNS: Final = ("toomanyrequests", "too many requests", "rate limit", "status code 429", " 429 ")


@dataclass(frozen=True, slots=True)
class DiscoveryPosition:
    """The position of the pushed artifact among those discovered for a subscription.

    `index` counts from 0. Kargo creates Freight from the artifact at 0, which is `first`.
    """

    index: int
    artifact: Artifact
    first: Artifact
    subscription: Subscription


def selecting_subscriptions(push: Push, warehouse: Warehouse) -> tuple[Subscription, ...]:
    """Return the subscriptions of a Warehouse, in its current version, that select the push."""
    names = frozenset(push.names)
    return tuple(
        subscription
        for subscription in warehouse.subscriptions
        if subscription.repository in names
        and (not push.tags or any(subscription.selector.evaluate(tag).matches for tag in push.tags))
    )


def best_position(
    push: Push, subscriptions: Iterable[Subscription], results: Sequence[DiscoveryResult]
) -> DiscoveryPosition | None:
    """Return the best position of the pushed artifact in the results of these subscriptions, or None."""
    names = frozenset(push.names)
    positions = (
        DiscoveryPosition(index, artifact, result.artifacts[0], subscription)
        for subscription in subscriptions
        for result in _results_of(subscription, results)
        for index, artifact in enumerate(result.artifacts)
        if artifact.is_of(push, names)
    )
    return min(positions, key=lambda position: position.index, default=None)


def explain_rank(position: DiscoveryPosition) -> str:
    """Return a sentence about a tag that is not the first one, with what decided the order.

    Kargo orders equal build times by tag. Reproducible builds all have the same one. Source: `pkg/image`.
    """
    pushed, first = position.artifact, position.first
    text = f"Kargo discovered {quoted(pushed.tag)} but creates Freight from {quoted(first.tag)}, which"
    if position.subscription.strategy != "NewestBuild":
        return f"{text} ranks higher"
    if pushed.built_at and pushed.built_at == first.built_at:
        return f"{text} was built at the same time and has the greater tag (NewestBuild)"
    return f"{text} was built later (NewestBuild)"


def explain_beyond_limit(
    push: Push, subscriptions: Iterable[Subscription], results: Sequence[DiscoveryResult]
) -> str:
    """Return a sentence if discoveryLimit excludes the tag; empty if it does not, or if that is unknowable.

    With `NewestBuild` it is: only the registry knows when an image was built.
    """
    for subscription in subscriptions:
        rank = _ranking(subscription)
        for result in _results_of(subscription, results):
            if rank is None or not 0 < subscription.limit <= len(result.artifacts):
                continue
            last = result.artifacts[-1].tag
            pushed_rank, last_rank = rank(push.tag), rank(last)
            if pushed_rank and last_rank and pushed_rank < last_rank:
                return (
                    f"{quoted(push.tag)} ranks below the {subscription.limit} tags that discoveryLimit lets Kargo "
                    f"keep; the last of them is {quoted(last)} ({subscription.strategy})"
                )
    return ""


def explain_missing_tag(
    push: Push, subscriptions: Sequence[Subscription], results: Sequence[DiscoveryResult]
) -> str:
    """Return a sentence about a tag that Kargo did not discover, with the likely cause."""
    if push.is_git and push.commit:
        return (
            f"Kargo did not discover commit {push.commit[:12]} of {quoted(push.repository)}; it does not exist there, "
            "or its files or expressionFilter exclude it"
        )
    text = f"Kargo did not find {quoted(push.tag)} among the tags of {quoted(push.repository)}"
    platforms = sorted({subscription.platform for subscription in subscriptions if subscription.platform})
    if platforms:
        return f"{text}; it skips images that are not built for platform {platforms[0]}"
    limited = [
        subscription
        for subscription in subscriptions
        if subscription.limit
        and any(len(result.artifacts) >= subscription.limit for result in _results_of(subscription, results))
    ]
    if limited and limited[0].strategy == "NewestBuild":
        text = f"{text}; it keeps only the {limited[0].limit} newest builds (discoveryLimit)"
        build_times = [
            artifact.built_at for result in _results_of(limited[0], results) for artifact in result.artifacts
        ]
        if build_times[0] and build_times[0] == build_times[-1]:
            return f"{text}, and of those that were built at the same time the greatest tags"
        return text
    return f"{text}; the registry does not list it yet, or it was deleted"


def is_rate_limit(message: str) -> bool:
    """Say whether a registry error, as Kargo quotes it, is a rate limit, such as Docker Hub's pull limit."""
    text = f" {message.lower()} "
    return any(sign in text for sign in _RATE_LIMIT_SIGNS)


def named_subscription(message: str, warehouse: Warehouse) -> str:
    """Return the `repoURL`, as written in the Warehouse, that one of Kargo's messages names; empty if none."""
    urls = {subscription.repo_url for subscription in warehouse.subscriptions if subscription.repo_url}
    # The longest first: one URL may be the beginning of another.
    return next((url for url in sorted(urls, key=len, reverse=True) if f'"{url}"' in message), "")


def _results_of(subscription: Subscription, results: Iterable[DiscoveryResult]) -> list[DiscoveryResult]:
    return [
        result
        for result in results
        if (result.kind, result.repository) == (subscription.kind, subscription.repository)
        and result.subscription in ("", subscription.name)
    ]


def _ranking(subscription: Subscription) -> Callable[[str], Any] | None:
    """Return a function that ranks tags (the greatest comes first; None is no version); None if there is no order."""
    if subscription.strategy == "Lexical":
        return lambda tag: (tag,)
    if subscription.strategy == "SemVer":
        return _version_rank
    return None


def _version_rank(tag: str) -> tuple[Any, ...] | None:
    version = semver.parse_version(tag.replace("_", "+"))
    return (semver.order(version), tag) if version else None
