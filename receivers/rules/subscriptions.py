"""One entry of a Warehouse's `spec.subscriptions`, decoded and compiled once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a selector says about one tag.

    `matches` is None when the subscription cannot be evaluated at all.
    `rule` is a stable short name of the rule that decided; `reason` is a sentence for people, with the values.
    """

    matches: bool | None
    rule: str
    reason: str


class Selector(Protocol):
    """Decides whether a pushed tag is one that a subscription selects."""

    def judge(self, tag: str) -> Judgement:
        """Say whether `tag` (not empty) is selected, and by which rule."""
        ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription: what it names and how it selects.

    `kind` is the type key as written (`image`, `chart`, `git`, ...); `name` may be empty; `repo_url` is as written;
    `repository` is the normalised name under which a push finds it ("" if Kargo never indexes it);
    `near_key` is the name under which a near miss finds it (see `repo_names.near_key`).
    """

    kind: str
    name: str
    repo_url: str
    repository: str
    near_key: str
    selector: Selector


def decode_subscription(raw: Any) -> Subscription:
    """Decode one entry of `spec.subscriptions`. Never raises: what is broken gets a selector that says so."""
    raise NotImplementedError
