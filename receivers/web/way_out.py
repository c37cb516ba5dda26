"""The way out for a push that no subscription matches: a patch to paste that loosens one, and what else it does."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from receivers.accounts.roles import Access
from receivers.cluster.cache import ClusterCache
from receivers.deliveries.push_record import PushRecord, tags_pushed
from receivers.kargo.matching import MatchResult
from receivers.kargo.subscriptions import Subscription
from receivers.models import Outcome
from receivers.web.loosening import FieldChange, Loosening, loosen

MOST_SHOWN: Final = 3  # subscriptions; who needs more of them changes the Warehouses as a whole
TAGS_NAMED: Final = 5
HIGHEST_WINS: Final = "Kargo creates Freight from the highest selected version."


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of YAML: `sign` is `-`, `+` or a space."""

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class WayOut:
    """How to make a subscription select the pushed tag.

    `matches_now` says that the subscription was changed since, and only a redelivery is missing; then there is no
    patch. `command` is for a shell.
    """

    project: str
    warehouse: str
    summary: str
    diff: tuple[DiffLine, ...] = ()
    command: str = ""
    consequences: tuple[str, ...] = ()
    matches_now: bool = False


def ways_out(access: Access, record: PushRecord, cache: ClusterCache) -> tuple[WayOut, ...]:
    """Return the ways out for a push that refreshed nothing, `MOST_SHOWN` at most. Up to two queries."""
    tag, repository = record.decisive.tag, record.decisive.repository
    rejected = [verdict for verdict in record.verdicts if verdict["result"] == MatchResult.NO_MATCH]
    if record.decisive.outcome != Outcome.NO_MATCH or not tag or not rejected:
        return ()
    tags: tuple[str, ...] | None = None
    ways: list[WayOut] = []
    for verdict in rejected:
        subscription = _subscription(verdict, cache)
        if subscription is None:
            continue
        if subscription.selector.evaluate(tag).matches:
            ways.append(_matches_now(verdict))
        elif (loosening := loosen(subscription, tag)) is not None:
            tags = tags_pushed(access, repository, tag) if tags is None else tags
            ways.append(_way_out(verdict, subscription, loosening, tags))
        if len(ways) == MOST_SHOWN:
            break
    return tuple(sorted(ways, key=lambda way: not way.matches_now))


def _subscription(verdict: Mapping[str, Any], cache: ClusterCache) -> Subscription | None:
    """Return the subscription of a verdict, as it is now; None if it is gone or another one."""
    warehouse = cache.warehouse(verdict["project"], verdict["warehouse"])
    subscriptions = warehouse.subscriptions if warehouse else ()
    position = verdict["position"]
    if position >= len(subscriptions):
        return None
    subscription = subscriptions[position]
    same = (subscription.kind, subscription.repo_url) == (verdict["kind"], verdict["repo_url"])
    return subscription if same else None


def _matches_now(verdict: Mapping[str, Any]) -> WayOut:
    summary = "The subscription has changed since this push and matches now. Redeliver the push."
    return WayOut(verdict["project"], verdict["warehouse"], summary, matches_now=True)


def _way_out(
    verdict: Mapping[str, Any], subscription: Subscription, loosening: Loosening, tags: Sequence[str]
) -> WayOut:
    return WayOut(
        project=verdict["project"],
        warehouse=verdict["warehouse"],
        summary="; ".join(map(_summary, loosening.changes)),
        diff=tuple(_diff(subscription, loosening.changes)),
        command=_command(verdict, subscription, loosening.changes),
        consequences=tuple(_consequences(subscription, loosening, tags)),
    )


def _summary(change: FieldChange) -> str:
    if change.field in {"constraint", "semverConstraint"}:
        return f"loosen {change.before} to {change.after}"
    if change.field == "allowTagsRegexes":
        return f"allow {change.after[-1]}"
    if change.field == "strictSemvers":
        return "accept versions that leave out numbers"
    return f"remove a rule of {change.field}"


def _diff(subscription: Subscription, changes: Iterable[FieldChange]) -> Iterable[DiffLine]:
    yield DiffLine(" ", "spec:")
    yield DiffLine(" ", "  subscriptions:")
    yield DiffLine(" ", f"    - {subscription.kind}:")
    yield DiffLine(" ", f"        repoURL: {_yaml(subscription.repo_url)}")
    for change in changes:
        before, after = (_field(change.field, value) for value in (change.before, change.after))
        yield from (DiffLine(" " if line in after else "-", f"        {line}") for line in before)
        yield from (DiffLine("+", f"        {line}") for line in after if line not in before)


def _field(name: str, value: Any) -> list[str]:
    """Return the lines of a field in YAML; none if it isn't set."""
    if value is None:
        return []
    if isinstance(value, list):
        return [f"{name}:", *(f"  - {_yaml(item)}" for item in value)]
    return [f"{name}: {_yaml(value)}"]


def _yaml(value: Any) -> str:
    """Return a value in YAML. JSON is YAML; plain names need no quotes."""
    if isinstance(value, str) and value.replace("/", "").replace("-", "").replace(".", "").isalnum():
        return value
    return json.dumps(value, ensure_ascii=False)


def _command(verdict: Mapping[str, Any], subscription: Subscription, changes: Iterable[FieldChange]) -> str:
    """Return a `kubectl patch` that fails if the subscription is another one by the time it runs."""
    path = f"/spec/subscriptions/{verdict['position']}/{subscription.kind}"
    operations: list[dict[str, Any]] = [
        {"op": "test", "path": f"{path}/repoURL", "value": subscription.repo_url}
    ]
    for change in changes:
        if change.before is not None and change.field != "strictSemvers":
            operations.append({"op": "test", "path": f"{path}/{change.field}", "value": change.before})
        if change.after is None:
            operations.append({"op": "remove", "path": f"{path}/{change.field}"})
        else:
            operations.append({"op": "add", "path": f"{path}/{change.field}", "value": change.after})
    patch = json.dumps(operations, ensure_ascii=False)
    return (
        shlex.join(
            ["kubectl", "patch", "warehouse", verdict["warehouse"], "-n", verdict["project"], "--type=json"]
        )
        + f" -p {shlex.quote(patch)}"
    )


def _consequences(subscription: Subscription, loosening: Loosening, tags: Sequence[str]) -> Iterable[str]:
    yield from loosening.consequences
    also = loosening.also_selects(tags, subscription)
    if also:
        named = ", ".join(also[:TAGS_NAMED])
        rest = len(also) - TAGS_NAMED
        others = f" and {rest} more" if rest > 0 else ""
        yield f"Of the tags pushed lately, it also selects {named}{others}."
    elif tags:
        yield f"No other tag that was pushed lately is selected in addition ({len(tags)} checked)."
    if subscription.strategy == "SemVer" or subscription.kind == "chart":
        yield HIGHEST_WINS
