"""Run every conformance vector through the functions that the product uses.

`KARGOWEB_VECTORS` selects another directory with files of the same names. All of their entries are run.
"""

import base64
import json
import os
from pathlib import Path

import pytest

from receivers.kargo import responses
from receivers.kargo.constraints import InvalidConstraint, parse_constraint
from receivers.kargo.kinds import InvalidBody, WebhookRequest, dockerhub
from receivers.kargo.matching import MatchResult, Verdict, to_refresh, verdicts
from receivers.kargo.receiver_path import receiver_path
from receivers.kargo.repository_names import names_of_push, normalize_chart, normalize_image
from receivers.kargo.resources import decode_warehouse
from receivers.kargo.semver import parse_tag
from receivers.kargo.subscriptions import decode_subscription
from tests.kargo.defaults import with_admission_defaults

OURS = Path(__file__).parents[1] / "vectors"
VECTORS = Path(os.environ.get("KARGOWEB_VECTORS") or OURS)


def vectors(name):
    """Parametrize a test with the entries of a file. One that another directory lacks is not run."""
    path = VECTORS / f"{name}.json"
    entries = json.loads(path.read_text("ascii")) if path.exists() or VECTORS == OURS else []
    return pytest.mark.parametrize("vector", [pytest.param(entry, id=entry["id"]) for entry in entries])


def expectations(vector):
    """Yield (whether to apply the admission defaults, the expected result)."""
    yield False, vector["expect"]
    if "expect_defaulted" in vector:
        yield True, vector["expect_defaulted"]


@vectors("receiver_paths")
def test_a_receiver_path_is_the_same_as_in_kargo(vector):
    secrets = [value.encode() for value in vector["secretValues"]]
    secrets += map(base64.b64decode, vector.get("secretValuesBase64", []))
    arguments = (
        vector["basePath"],
        vector["receiverType"],
        vector["project"],
        vector["receiverName"],
        *secrets,
    )
    if vector["expect"]["error"]:
        with pytest.raises(ValueError, match=r"^its? "):
            receiver_path(*arguments)
    else:
        assert receiver_path(*arguments) == vector["expect"]["path"]


@vectors("normalize_image")
def test_the_name_of_an_image_is_the_same_as_in_kargo(vector):
    assert normalize_image(vector["input"]) == vector["expect"]


@vectors("normalize_chart")
def test_the_name_of_a_chart_is_the_same_as_in_kargo(vector):
    assert normalize_chart(vector["input"]) == vector["expect"]


@vectors("normalized_repo_urls")
def test_the_names_of_a_push_are_the_same_as_in_kargo(vector):
    assert list(names_of_push(vector["repoURL"], vector["mediaType"])) == vector["expect"]


@vectors("semver_parse")
def test_versions_are_parsed_as_in_kargo(vector):
    version = parse_tag(vector["tag"], strict=vector["strict"])
    assert (version and str(version)) == vector["expect"]


@vectors("semver_constraints")
def test_constraints_are_evaluated_as_in_kargo(vector):
    try:
        constraint = parse_constraint(vector["constraint"])
    except InvalidConstraint:
        constraint = None
    lenient, strict = (parse_tag(vector["version"], strict=strict) for strict in (False, True))
    assert {
        "valid": constraint is not None,
        "match": bool(constraint and lenient and constraint.allows(lenient)),
        "match_strict": bool(constraint and strict and constraint.allows(strict)),
    } == vector["expect"]


def evaluated(kind, subscription, tag, *, defaulted):
    raw = {kind: subscription}
    decision = decode_subscription(with_admission_defaults(raw) if defaulted else raw).selector.evaluate(tag)
    assert decision.rule
    assert decision.reason
    return {"error": decision.matches is None, "match": decision.matches is True}


@vectors("image_match")
def test_an_image_subscription_selects_the_same_tags_as_in_kargo(vector):
    for defaulted, expected in expectations(vector):
        assert evaluated("image", vector["subscription"], vector["tag"], defaulted=defaulted) == expected


@vectors("chart_match")
def test_a_chart_subscription_selects_the_same_versions_as_in_kargo(vector):
    for defaulted, expected in expectations(vector):
        assert evaluated("chart", vector["subscription"], vector["version"], defaulted=defaulted) == expected


@vectors("dockerhub_events")
def test_a_dockerhub_event_has_the_same_response_and_refreshes_as_in_kargo(vector):
    body = base64.b64decode(vector["bodyBase64"]) if "bodyBase64" in vector else vector["body"].encode()
    for defaulted, expected in expectations(vector):
        response, matched = receive(vector, body, defaulted=defaulted)
        if expected["status"] == 500:
            assert_only_invalid_subscriptions_are_ignored(vector, body, defaulted=defaulted)
        else:
            assert response.status == expected["status"]
            assert json.loads(response.body) == expected["body"]
            assert refreshed(matched) == expected["refreshed"]


def receive(vector, body, *, defaulted, without=frozenset()):
    """Process a body as intake does: parse it, match the Warehouses in scope, respond."""
    try:
        push = dockerhub.read(WebhookRequest(body))
    except InvalidBody:
        return responses.INVALID_BODY, ()
    matched = verdicts(push, warehouses(vector, defaulted=defaulted, without=without))
    return responses.refreshed(len(to_refresh(matched))), matched


def warehouses(vector, *, defaulted, without):
    """Yield the Warehouses in scope, without subscriptions given as (project, Warehouse, position)."""
    for entry in vector["warehouses"]:
        project, name = entry["namespace"], entry["name"]
        if vector["project"] in {"", project}:
            subscriptions = [
                with_admission_defaults(subscription) if defaulted else subscription
                for position, subscription in enumerate(entry["subscriptions"])
                if (project, name, position) not in without
            ]
            metadata = {"namespace": project, "name": name}
            yield decode_warehouse({"metadata": metadata, "spec": {"subscriptions": subscriptions}})


def refreshed(matched: tuple[Verdict, ...]) -> list[str]:
    return [f"{project}/{name}" for project, name in to_refresh(matched)]


def assert_only_invalid_subscriptions_are_ignored(vector, body, *, defaulted):
    """Check the intended difference: Kargo responds 500 without a refresh, kargoweb refreshes what matches."""
    response, matched = receive(vector, body, defaulted=defaulted)
    invalid = [verdict for verdict in matched if verdict.result is MatchResult.NOT_EVALUABLE]
    assert invalid
    assert all(verdict.rule and verdict.reason for verdict in invalid)
    invalid_subscriptions = {(verdict.project, verdict.warehouse, verdict.position) for verdict in invalid}
    valid_response, valid = receive(vector, body, defaulted=defaulted, without=invalid_subscriptions)
    assert MatchResult.NOT_EVALUABLE not in {verdict.result for verdict in valid}
    assert (response.status, response.body, refreshed(matched)) == (
        200,
        valid_response.body,
        refreshed(valid),
    )
