"""The kind `generic`: actions with expressions, which select their targets themselves.

Source: Kargo's `pkg/webhook/external/generic.go` and its documentation of generic receivers. The URL is the only
credential, unless a `whenExpression` looks at a header. Values of `parameters` are not evaluated, as in Kargo.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

from receivers.kargo.expressions import (
    Budget,
    CannotEvaluate,
    EvaluationFailed,
    Function,
    InvalidExpression,
    NilList,
    Time,
    Typed,
    Unreadable,
    Value,
    evaluate,
    render,
)
from receivers.kargo.expressions.text_forms import json_text
from receivers.kargo.golang import goany, gojson
from receivers.kargo.golang.goquery import parse_query
from receivers.kargo.json_values import as_list, as_map, as_text
from receivers.kargo.kinds.events import ActionReport, Cause, Refused, TargetsUnknown
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.label_selectors import InvalidLabelSelector, LabelRequirement
from receivers.kargo.promotion_targets import PromotionTarget
from receivers.kargo.push import Push
from receivers.kargo.quoting import listed, quoted
from receivers.kargo.repository_names import normalize_chart, normalize_git, normalize_image
from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.kargo.responses import WebhookResponse

_REFRESH: Final = "Refresh"
_WAREHOUSE: Final = "Warehouse"
_PROMOTION: Final = "Promotion"
_ERROR: Final = "Error"
_SUBSCRIBED_URLS: Final = "subscribedURLs"
_CRITERIA: Final = "targetSelectionCriteria"
_INDEX_OPERATORS: Final = ("Equals", "NotEquals")

Target: TypeAlias = "Warehouse | PromotionTarget"
Render: TypeAlias = Callable[[Any], str]


class _InvalidCriteria(ValueError):
    """Criteria that Kargo cannot evaluate; the message says why."""


@dataclass(frozen=True, slots=True)
class _Criteria:
    """One entry of `targetSelectionCriteria`, evaluated. `index` is None if no index is searched."""

    kind: str
    name: str
    labels: tuple[LabelRequirement, ...]
    index: str | None

    def selects(self, target: Target) -> bool:
        """Return whether a candidate for these criteria fulfills all of them."""
        return self.name in ("", target.name) and all(
            requirement.matches(target.labels) for requirement in self.labels
        )


class _Scope:
    """The targets of one kind, of which there can be 10,000, with indexes for criteria that name one.

    `listed` returns them when they are needed; what it raises, `candidates` raises.
    """

    def __init__(self, listed: Callable[[], Iterable[Target]]) -> None:
        self._listed = listed

    @cached_property
    def _targets(self) -> list[Target]:
        return list(self._listed())

    @cached_property
    def _by_name(self) -> Mapping[str, list[Target]]:
        targets: dict[str, list[Target]] = {}
        for target in self._targets:
            targets.setdefault(target.name, []).append(target)
        return targets

    @cached_property
    def _by_url(self) -> Mapping[str, list[Target]]:
        targets: dict[str, list[Target]] = {}
        for target in self._targets:
            for url in dict.fromkeys(_subscribed_urls(target)):
                targets.setdefault(url, []).append(target)
        return targets

    def candidates(self, criteria: _Criteria) -> list[Target]:
        """Return the targets that can fulfill these criteria."""
        if criteria.index is not None:
            return self._by_url.get(criteria.index, [])
        return self._by_name.get(criteria.name, []) if criteria.name else self._targets


@dataclass(slots=True)
class _Action:
    """An action, evaluated for a request. `problem` is empty or says why it has no targets."""

    raw: Mapping[str, Any]
    matched: bool = False
    result: str = ""
    summary: str = ""
    problem: str = ""
    criteria: tuple[_Criteria, ...] = ()
    targets: dict[WarehouseKey, str] = field(default_factory=dict)
    """The kind of each target. Kargo removes duplicates by their names alone: the first kind wins."""

    @property
    def runs(self) -> bool:
        """Return whether the action refreshes its targets."""
        return self.matched and not self.result and self.raw.get("action") == _REFRESH

    def fail(self, part: str, problem: str) -> None:
        """Note that a part of the action cannot be evaluated, and why."""
        self.result, self.summary, self.problem = _ERROR, f"Error evaluating {part}", problem


class GenericSelection:
    """The evaluated actions of a request. `targets` is called once, before `response` and `actions`."""

    def __init__(self, actions: list[_Action]) -> None:
        self._actions = actions

    def targets(
        self, warehouses: Iterable[Warehouse], promotions: Callable[[], Iterable[PromotionTarget]]
    ) -> tuple[Collection[WarehouseKey], Collection[WarehouseKey]]:
        """Return the keys of the Warehouses and of the Promotions to refresh."""
        scope = {_WAREHOUSE: _Scope(lambda: warehouses), _PROMOTION: _Scope(promotions)}
        keys: dict[str, set[WarehouseKey]] = {_WAREHOUSE: set(), _PROMOTION: set()}
        for action in self._actions:
            if action.runs:
                try:
                    action.targets = dict(_selected(action.criteria, scope))
                except TargetsUnknown as error:
                    action.fail(_CRITERIA, str(error))
                for key, kind in action.targets.items():
                    keys[kind].add(key)
        return sorted(keys[_WAREHOUSE]), sorted(keys[_PROMOTION])

    def actions(
        self, failed_warehouses: Collection[WarehouseKey], failed_promotions: Collection[WarehouseKey]
    ) -> list[ActionReport]:
        """Return the result of each action."""
        failed = {_WAREHOUSE: frozenset(failed_warehouses), _PROMOTION: frozenset(failed_promotions)}
        return [_report(position, action, failed) for position, action in enumerate(self._actions, 1)]

    def response(
        self, failed_warehouses: Collection[WarehouseKey], failed_promotions: Collection[WarehouseKey]
    ) -> WebhookResponse:
        """Return the response, which lists the actions and their targets."""
        failed = {_WAREHOUSE: frozenset(failed_warehouses), _PROMOTION: frozenset(failed_promotions)}
        results = [_result(action, failed) for action in self._actions]
        status = 200
        if any(result.get("result") in (_ERROR, "Failure", "PartialSuccess") for result in results):
            status = 500
        return WebhookResponse(status, _encoded({"results": results}).encode() + b"\n")


def read(request: WebhookRequest) -> GenericSelection:
    """Return the actions, evaluated. Raise `Refused` for a body that is no JSON.

    An expression that cannot be evaluated fails its action only.
    """
    base = environment(request)
    budget = Budget()
    now = Time(time.time_ns())
    actions = map(as_map, as_list(request.options.get("actions")))
    return GenericSelection([_evaluated(raw, base, budget, now) for raw in actions])


def environment(request: WebhookRequest) -> Mapping[str, Value]:
    """Return what expressions can use, except `params`. Raise `Refused` for a body that is no JSON."""
    query = parse_query(request.query)

    def header(name: str) -> Value:
        values = _header_values(request, name)
        return values[0] if values else ""

    def headers(name: str) -> Value:
        values = _header_values(request, name)
        return Typed(values) if values else NilList()

    def parameter(name: str) -> Value:
        return _utf8(next(iter(query.get(name, ())), b""))

    return {
        "request": {
            "header": _of_text("header", header),
            "headers": _of_text("headers", headers),
            "params": _of_text("params", parameter),
            "body": _body(request.body),
        },
        "normalizeGit": _of_text("normalizeGit", normalize_git),
        "normalizeImage": _of_text("normalizeImage", normalize_image),
        "normalizeChart": _of_text("normalizeChart", normalize_chart),
    }


def _body(body: bytes) -> Value:
    if not body:
        return None
    try:
        return goany.decode(body)
    except goany.TooDeep:
        return Unreadable()
    except gojson.InvalidJson as error:
        raise Refused(
            WebhookResponse(400, _encoded({"error": f"invalid request body: {error}"}).encode() + b"\n"),
            Cause.BODY,
            f"the body isn't JSON: {error}",
        ) from error


def _header_values(request: WebhookRequest, name: str) -> list[str]:
    """Return the values of a header. Go has `Host` elsewhere."""
    values = [] if name.lower() == "host" else list(request.headers.all(name) or ())
    if not all(map(str.isascii, values)):
        raise CannotEvaluate(f"the header {quoted(name)} with characters other than ASCII")
    return values


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CannotEvaluate("a URL parameter that isn't UTF-8") from error


def _of_text(name: str, function: Callable[[str], Value]) -> Function:
    """Return a function whose parameter is a text; nil counts as an empty one."""

    def call(argument: Value, budget: Budget) -> Value:
        if argument is not None and not isinstance(argument, str):
            raise InvalidExpression(f"{name} takes a string")
        text = argument or ""
        budget.text(16 * len(text))
        return function(text)

    return Function(name, call)


def _evaluated(raw: Mapping[str, Any], base: Mapping[str, Value], budget: Budget, now: Time) -> _Action:
    """Return an action, evaluated as far as the request decides."""
    parameters = {key: as_text(value) for key, value in as_map(raw.get("parameters")).items()}
    names = {**base, "params": parameters}
    action = _Action(raw)
    condition = as_text(raw.get("whenExpression"))
    try:
        action.matched = _holds(condition, names, budget, now) if condition else True
    except EvaluationFailed as error:
        action.fail("whenExpression", _explained("whenExpression", error))
        return action
    if not action.matched:
        action.result, action.summary = "NotApplicable", "Request did not match whenExpression"
        action.problem = "whenExpression is false"
        return action
    if raw.get("action") != _REFRESH:
        action.problem = f"Kargo has no action {quoted(as_text(raw.get('action')))}"
        return action

    def rendered(value: Any) -> str:
        return render(as_text(value), names, budget, now)

    try:
        action.criteria = tuple(
            _criteria(as_map(each), rendered) for each in as_list(raw.get("targetSelectionCriteria"))
        )
    except (EvaluationFailed, InvalidLabelSelector, _InvalidCriteria) as error:
        action.fail(_CRITERIA, _explained(_CRITERIA, error))
    return action


def _explained(where: str, error: Exception) -> str:
    if isinstance(error, CannotEvaluate):
        return f"{where} cannot be evaluated by kargoweb: {error}"
    return f"{where} fails: {error}"


def _holds(condition: str, environment: Mapping[str, Value], budget: Budget, now: Time) -> bool:
    value = evaluate(condition, environment, budget, now)
    if isinstance(value, bool):
        return value
    raise InvalidExpression("its value is neither true nor false")


def _criteria(raw: Mapping[str, Any], rendered: Render) -> _Criteria:
    """Return criteria with the values of their expressions. Raise an error if Kargo cannot evaluate them."""
    kind = as_text(raw.get("kind"))
    if kind not in (_WAREHOUSE, _PROMOTION):
        raise _InvalidCriteria(f"{quoted(kind)} isn't a kind of target")
    name = rendered(raw.get("name"))
    labels = tuple(_label_requirements(as_map(raw.get("labelSelector")), rendered))
    for requirement in labels:
        requirement.check()
    index = _index(as_list(as_map(raw.get("indexSelector")).get("matchIndices")), rendered)
    if index is not None and kind == _PROMOTION:
        raise _InvalidCriteria("Promotions have no index of subscribed URLs")
    return _Criteria(kind, name, labels, index)


def _label_requirements(raw: Mapping[str, Any], rendered: Render) -> Iterator[LabelRequirement]:
    for key, value in as_map(raw.get("matchLabels")).items():
        yield LabelRequirement(key, "In", (rendered(value),))
    for each in map(as_map, as_list(raw.get("matchExpressions"))):
        values = tuple(map(rendered, as_list(each.get("values"))))
        yield LabelRequirement(as_text(each.get("key")), as_text(each.get("operator")), values)


def _index(requirements: list[Any], rendered: Render) -> str | None:
    """Return the subscribed URL to search for, or None. Only the last requirement counts, as in Kargo."""
    last: tuple[str, str, str] | None = None
    for each in map(as_map, requirements):
        key, operator = as_text(each.get("key")), as_text(each.get("operator"))
        if operator not in _INDEX_OPERATORS:
            raise _InvalidCriteria(f"{quoted(operator)} isn't an operator of index selectors")
        last = key, operator, rendered(each.get("value"))
    if last is None:
        return None
    key, operator, value = last
    if key != _SUBSCRIBED_URLS:
        raise _InvalidCriteria(f"Kargo has no index {quoted(key)} of Warehouses")
    if operator != "Equals":
        raise _InvalidCriteria("Kargo cannot search an index with NotEquals")
    return value


def _subscribed_urls(target: Target) -> Iterator[str]:
    if isinstance(target, Warehouse):
        yield from (
            subscription.repository for subscription in target.subscriptions if subscription.repository
        )


def _selected(
    criteria: Iterable[_Criteria], scope: Mapping[str, _Scope]
) -> Iterator[tuple[WarehouseKey, str]]:
    """Yield each target once, with its kind."""
    seen: set[WarehouseKey] = set()
    for each in criteria:
        for target in scope[each.kind].candidates(each):
            if target.key not in seen and each.selects(target):
                seen.add(target.key)
                yield target.key, each.kind


def _report(position: int, action: _Action, failed: Mapping[str, frozenset[WarehouseKey]]) -> ActionReport:
    targets = tuple((kind, key, key not in failed[kind]) for key, kind in sorted(action.targets.items()))
    lost = [
        f"{project}/{name}"
        for kind, (project, name), success in targets
        if kind == _PROMOTION and not success
    ]
    return ActionReport(
        position,
        as_text(action.raw.get("action")),
        _verdict(sum(success for *_, success in targets), len(targets)) if action.runs else action.result,
        action.problem or (f"not refreshed: {listed(lost)}" if lost else ""),
        failed=action.result == _ERROR or bool(lost),
        targets=targets,
    )


def _result(action: _Action, failed: Mapping[str, frozenset[WarehouseKey]]) -> dict[str, Any]:
    """Return the entry of an action in the response, in the order in which Kargo writes its fields."""
    entry = _as_configured(action.raw) | {"matchedWhenExpression": action.matched}
    if action.runs:
        targets: list[dict[str, Any]] = [
            {"namespace": key[0], "name": key[1], "success": key not in failed[kind]}
            for key, kind in sorted(action.targets.items())
        ]
        successes = sum(target["success"] for target in targets)
        if targets:
            entry["selectedTargets"] = targets
        entry["result"] = _verdict(successes, len(targets))
        entry["summary"] = f"Refreshed {successes} of {len(targets)} selected resources"
    elif action.result:
        entry |= {"result": action.result, "summary": action.summary}
    return entry


def _verdict(successes: int, total: int) -> str:
    if successes == total:
        return "Success"
    return "PartialSuccess" if successes else "Failure"


def _as_configured(raw: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"action": as_text(raw.get("action"))}
    parameters = as_map(raw.get("parameters"))
    optional = {
        "whenExpression": as_text(raw.get("whenExpression")),
        "parameters": {key: as_text(parameters[key]) for key in sorted(parameters)},
        "targetSelectionCriteria": [
            _criteria_as_configured(as_map(each)) for each in as_list(raw.get("targetSelectionCriteria"))
        ],
    }
    return entry | {key: value for key, value in optional.items() if value}


def _criteria_as_configured(raw: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": as_text(raw.get("kind"))}
    if name := as_text(raw.get("name")):
        entry["name"] = name
    selector = as_map(raw.get("labelSelector"))
    labels = as_map(selector.get("matchLabels"))
    expressions = [
        {"key": as_text(each.get("key")), "operator": as_text(each.get("operator"))}
        | ({"values": list(map(as_text, as_list(each.get("values"))))} if each.get("values") else {})
        for each in map(as_map, as_list(selector.get("matchExpressions")))
    ]
    indices = [
        {key: as_text(each.get(key)) for key in ("key", "operator", "value")}
        for each in map(as_map, as_list(as_map(raw.get("indexSelector")).get("matchIndices")))
    ]
    entry["labelSelector"] = (
        {"matchLabels": {key: as_text(labels[key]) for key in sorted(labels)}} if labels else {}
    ) | ({"matchExpressions": expressions} if expressions else {})
    entry["indexSelector"] = {"matchIndices": indices} if indices else {}
    return entry


def _encoded(value: Any) -> str:
    """Return JSON as Go's encoder writes it: compact, with HTML's special characters escaped."""
    match value:
        case dict():
            return "{" + ",".join(f"{json_text(key)}:{_encoded(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_encoded, value)) + "]"
        case bool():
            return "true" if value else "false"
    return json_text(value)


def compose(push: Push) -> bytes:
    """Return a body for a push. Senders of this kind have no format in common; this one names what was pushed."""
    name = push.repository.rpartition("/")[2].removesuffix(".git")
    body = {"repository": {"name": name, "url": push.repository}, "ref": push.tag, "tag": push.tag}
    return json.dumps(body).encode()
