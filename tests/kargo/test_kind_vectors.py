"""Run the conformance vectors of every receiver kind through the functions that the product uses.

They are in the directory `kinds` of the vectors, or, for `KARGOWEB_VECTORS`, there or in that directory itself. Files
that are missing are not run. The differences that are intended are those of docs/compatibility.md.
"""

import base64
import json
import os
import time
from pathlib import Path

import pytest

from receivers.kargo import responses
from receivers.kargo.expressions import Budget, InvalidExpression, Time, evaluate, render
from receivers.kargo.kinds import KINDS, Headers, InvalidBody, Refused, WebhookRequest, generic
from receivers.kargo.kinds.events import NothingToDo, PullRequest
from receivers.kargo.matching import MatchResult, Verdict, to_refresh, verdicts
from receivers.kargo.promotion_targets import decode_target, waiting_for
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_git
from receivers.kargo.resources import decode_receiver, decode_warehouse
from receivers.kargo.selectors import GitSelector
from receivers.kargo.subscriptions import decode_subscription
from tests.kargo.defaults import with_admission_defaults

VECTORS = Path(os.environ.get("KARGOWEB_VECTORS") or Path(__file__).parents[1] / "vectors")
PANIC = 0  # the status of a vector where Kargo closes the connection


def entries(name):
    existing = [
        path for path in (VECTORS / "kinds" / f"{name}.json", VECTORS / f"{name}.json") if path.exists()
    ]
    return json.loads(existing[0].read_text("ascii")) if existing else []


def vectors(*names):
    """Parametrize a test with the entries of these files."""
    return pytest.mark.parametrize(
        "vector", [pytest.param(entry, id=entry["id"]) for name in names for entry in entries(name)]
    )


def expectations(vector):
    """Yield (whether to apply the admission defaults, the expected result)."""
    yield False, vector["expect"]
    if "expect_defaulted" in vector:
        yield True, vector["expect_defaulted"]


@vectors("git_urls")
def test_the_url_of_a_git_repository_is_normalized_as_in_kargo(vector):
    assert normalize_git(vector["input"]) == vector["expect"]


@vectors("git_match")
def test_a_git_subscription_selects_the_same_commits_as_in_kargo(vector):
    for defaulted, expected in expectations(vector):
        raw = {"git": vector["subscription"]}
        selector = decode_subscription(with_admission_defaults(raw) if defaulted else raw).selector
        reference = selector.evaluate(vector["ref"])
        assert reference.rule
        assert reference.reason
        if reference.matches is None:
            actual = {"error": True, "ref_match": False, "path_match": False, "match": False}
        else:
            assert isinstance(selector, GitSelector)
            files = selector.evaluate_files(vector["changedFiles"])
            assert files.rule
            assert files.reason
            actual = {
                "error": False,
                "ref_match": reference.matches,
                "path_match": bool(files.matches),
                "match": bool(reference.matches and files.matches),
            }
        assert actual == expected


EVENTS = [f"{kind}_events" for kind in KINDS if kind != "dockerhub"]


@vectors(*EVENTS)
def test_an_event_has_the_same_response_and_refreshes_as_in_kargo(vector):
    if "path_suffix" in vector:
        pytest.skip("about the path, not about the kind")
    for defaulted, expected in expectations(vector):
        response, refreshed, promotions, matched = receive(vector, defaulted=defaulted)
        if expected["status"] == PANIC:
            assert response == responses.INVALID_BODY
            assert not refreshed
        elif expected["status"] == 500 and any(
            verdict.result is MatchResult.NOT_EVALUABLE for verdict in matched
        ):
            # One broken subscription blocks no other Warehouse.
            assert response == responses.refreshed(len(refreshed))
        elif vector.get("chunked") and expected["status"] == 500:
            assert response == responses.TOO_LARGE
        elif is_gitlab_without_token(vector):
            assert response == responses.UNAUTHORIZED
        else:
            assert response.status == expected["status"]
            if "generic" in vector["receiver"] and "results" in expected["body"]:
                # The vectors have the fields in alphabetical order; test_generic.py has the one of Kargo.
                assert json.loads(response.body) == expected["body"]
                assert response.body.endswith(b"}\n")
            else:
                assert response.body == on_the_wire(expected["body"])
            assert refreshed == expected["refreshed"]
            assert promotions == expected.get("refreshed_promotions", [])


@vectors("generic_actions")
def test_an_expression_has_the_same_value_as_in_kargo(vector):
    headers = [(name, value) for name, values in vector["headers"].items() for value in values]
    request = WebhookRequest(vector["body"].encode(), Headers(headers), query=vector["query"])
    names = {**generic.environment(request), "params": vector["parameters"]}
    apply = evaluate if vector["mode"] == "when" else render
    try:
        value = apply(vector["expression"], names, Budget(), Time(time.time_ns()))
    except InvalidExpression:
        value = None
    if vector["mode"] == "when":
        assert {"error": not isinstance(value, bool), "matched": value is True} == vector["expect"]
    else:
        actual = {"error": True} if value is None else {"error": False, "value": value}
        assert actual == vector["expect"]


def on_the_wire(body):
    """Return the bytes of an expected body: compact JSON and a newline, or a string that isn't JSON."""
    if isinstance(body, str):
        return body.encode()
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode() + b"\n"


def is_gitlab_without_token(vector):
    """Say whether Kargo takes the request because neither the Secret nor the request has a token."""
    return "gitlab" in vector["receiver"] and "" in vector.get("secret", {}).values()


def receive(vector, *, defaulted):
    """Process a request as intake does: authenticate, read, match, respond."""
    receiver = decode_receiver(vector["receiver"])
    kind = KINDS[receiver.kind]
    secret = secret_of(vector, kind)
    body = body_of(vector)
    nothing: tuple[list[str], list[str], tuple[Verdict, ...]] = ([], [], ())
    if secret is None:
        return responses.ERROR, *nothing
    if len(body) > responses.MAX_BODY:
        return responses.TOO_LARGE, *nothing
    headers = [
        (name, value)
        for name, values in vector["headers"].items()
        for value in (values if isinstance(values, list) else [values])
    ]
    request = WebhookRequest(
        body, Headers(headers), json.loads(receiver.options or "{}"), vector.get("query", "")
    )
    try:
        kind.authenticate(request, secret)
        event = kind.read(request)
    except Refused as refusal:
        return refusal.response, *nothing
    except InvalidBody:
        return responses.INVALID_BODY, *nothing
    match event:
        case NothingToDo():
            return event.response, *nothing
        case PullRequest():
            scope = [decode_target({"metadata": each, **each}) for each in vector.get("promotions", [])]
            keys = waiting_for(event.url, [each for each in scope if vector["project"] in {"", each.project}])
            return responses.refreshed_promotions(len(keys)), [], named(keys), ()
        case Push():
            matched = verdicts(event, warehouses(vector, defaulted=defaulted))
            keys = to_refresh(matched)
            return responses.refreshed(len(keys)), named(keys), [], matched
        case _:
            in_scope = list(warehouses(vector, defaulted=defaulted))
            promotions = [decode_target({"metadata": each, **each}) for each in vector.get("promotions", [])]
            promotions = [each for each in promotions if vector["project"] in {"", each.project}]
            chosen, waiting = event.targets(in_scope, lambda: promotions)
            return event.response((), ()), named(chosen), named(waiting), ()


def named(keys):
    return sorted(f"{project}/{name}" for project, name in keys)


def secret_of(vector, kind):
    if vector.get("noSecret"):
        return None
    if kind.secret_key in vector.get("secretBase64", {}):
        return base64.b64decode(vector["secretBase64"][kind.secret_key])
    text = vector.get("secret", {}).get(kind.secret_key)
    return None if text is None else text.encode()


def body_of(vector):
    body = base64.b64decode(vector["body_base64"]) if "body_base64" in vector else vector["body"].encode()
    return body + b" " * vector.get("body_padding", 0)


def warehouses(vector, *, defaulted):
    """Yield the Warehouses in scope."""
    for entry in vector["warehouses"]:
        if vector["project"] in {"", entry["namespace"]}:
            subscriptions = [
                with_admission_defaults(subscription) if defaulted else subscription
                for subscription in entry["subscriptions"]
            ]
            metadata = {key: entry[key] for key in ("namespace", "name", "labels") if key in entry}
            yield decode_warehouse({"metadata": metadata, "spec": {"subscriptions": subscriptions}})
