"""The criteria of a subscription in a few words: strategy, constraint, expressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from receivers.kargo.selectors import (
    ChartSelector,
    ExactTagSelector,
    GitBranchSelector,
    GitSelector,
    GitTagSelector,
    RegexSelector,
    Selector,
    SemverSelector,
)
from receivers.kargo.subscriptions import Subscription

DEFAULT_LIMIT: Final = 20
"""The default of `discoveryLimit`, which Kargo writes into each subscription that has none."""


def criteria(subscription: Subscription) -> list[tuple[str, str]]:
    """Return what selects tags, as pairs of a word and a value as written, either of which may be empty."""
    strategy = [("", subscription.strategy)] if subscription.strategy and subscription.kind == "image" else []
    words = [*strategy, *_of(subscription.selector)]
    if subscription.platform:
        words.append(("platform", subscription.platform))
    if subscription.limit and subscription.limit != DEFAULT_LIMIT:
        words.append(("limit", str(subscription.limit)))
    return words


def _of(selector: Selector) -> Iterator[tuple[str, str]]:
    match selector:
        case ExactTagSelector():
            yield "tag", selector.tracked or "not set"
        case SemverSelector():
            yield from _constraint(selector.constraint.text if selector.constraint else "")
            yield from _regexes(selector.regexes)
        case ChartSelector():
            yield from _constraint(selector.constraint.text if selector.constraint else "")
        case RegexSelector():
            yield from _regexes(selector)
        case GitBranchSelector():
            yield "branch", selector.branch or "the default"
        case GitTagSelector():
            yield from _of(selector.tags)
        case GitSelector():
            yield from _of(selector.references)
            for pattern in selector.paths.patterns:
                yield pattern.field, pattern.text


def _constraint(text: str) -> Iterator[tuple[str, str]]:
    yield ("", text) if text else ("no constraint", "")


def _regexes(selector: RegexSelector) -> Iterator[tuple[str, str]]:
    for regex in (*selector.allow, *selector.ignore):
        yield regex.field, regex.text
