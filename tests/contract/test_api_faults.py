"""Injected faults. Demo only."""

from __future__ import annotations

import pytest
import urllib3

from tests.clusters import DemoCluster
from tests.contract.api_objects import default_warehouses, names, ok, rejected, version


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with DemoCluster(tmp_path_factory.mktemp("failing")) as cluster:
        yield cluster


@pytest.fixture
def demo(shared):
    yield shared
    shared.faults()
    shared.api.delete(default_warehouses(shared.api).path)


@pytest.fixture
def objects(demo):
    objects = default_warehouses(demo.api)
    objects.create("one")
    return objects


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (403, "Forbidden"),
        (409, "Conflict"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
    ],
)
def test_a_fault_rule_fails_as_often_as_configured(demo, objects, code, reason):
    demo.faults({"verb": "patch", "resource": "warehouses", "status": code, "times": 2})

    for _ in range(2):
        rejected(demo.api.patch(objects.at("one"), {"metadata": {"labels": {"a": "b"}}}), code, reason)

    assert "labels" not in objects.get("one")["metadata"]
    assert objects.annotate("one", "x")


def test_throttled_responses_have_a_retry_after(demo, objects):
    demo.faults({"status": 429, "retryAfter": 7})

    response = demo.api.get(objects.path)

    assert response.headers["Retry-After"] == "7"
    assert response.body["details"]["retryAfterSeconds"] == 7


def test_a_fault_rule_affects_only_what_it_names(demo, objects):
    objects.create("two")
    demo.faults(
        {"verb": "get", "resource": "warehouses", "namespace": "default", "name": "one", "status": 500}
    )

    assert demo.api.get(objects.at("one")).status == 500
    assert demo.api.get(objects.at("two")).status == 200
    assert demo.api.get(objects.path).status == 200


@pytest.mark.parametrize("rule", [{"reset": True}, {"silence": 0.05}], ids=["reset", "silence"])
@pytest.mark.parametrize("after", [False, True], ids=["not carried out", "carried out"])
def test_a_connection_is_reset_without_a_response(demo, objects, rule, after):
    demo.faults({"verb": "patch", "times": 1, "after": after, **rule})

    with pytest.raises(urllib3.exceptions.ProtocolError):
        demo.api.patch(objects.at("one"), {"metadata": {"annotations": {"note": "x"}}})

    assert ("annotations" in objects.get("one")["metadata"]) is after


def test_latency_does_not_change_the_response(demo, objects):
    demo.faults({"verb": "patch", "latency": 0.003})

    assert objects.annotate("one", "x")["metadata"]["annotations"] == {"note": "x"}


def test_an_invalid_fault_rule_is_rejected(demo):
    rejected(demo.api.put("/faults", {"rules": [{"color": "red"}]}), 400, "BadRequest")


def test_watches_can_be_dropped(demo, objects):
    with demo.api.watch(objects.path) as events:
        assert next(events)["type"] == "ADDED"
        demo.faults(dropWatches=True)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            next(events)


def test_watches_can_be_rejected(demo, objects):
    demo.faults({"verb": "watch", "status": 503})

    rejected(demo.api.get(objects.path, watch="true"), 503, "ServiceUnavailable")


def test_watches_can_expire(demo, objects):
    with demo.api.watch(objects.path) as events:
        next(events)
        demo.faults(expireWatches=True)
        event = next(events)
        rest = list(events)

    assert (event["type"], event["object"]["code"], rest) == ("ERROR", 410, [])


def test_an_open_watch_survives_a_compaction(demo, objects):
    with demo.api.watch(objects.path) as events:
        next(events)
        demo.faults(compact=True)
        objects.annotate("one", "x")
        assert next(events)["type"] == "MODIFIED"


def test_an_expired_continue_token_allows_an_inconsistent_continuation_or_a_restart(demo, objects):
    for name in ("three", "two"):
        objects.create(name)
    first = objects.list(limit=1)
    objects.create("zero")
    demo.faults(compact=True)

    status = rejected(
        demo.api.get(objects.path, limit=9, **{"continue": first["metadata"]["continue"]}), 410, "Expired"
    )

    rest = objects.list(limit=9, **{"continue": status["metadata"]["continue"]})
    assert names(first) + names(rest) == ["one", "three", "two", "zero"]
    assert names(objects.list(limit=1)) == ["one"]


def test_history_is_bounded(tmp_path):
    with DemoCluster(tmp_path / "short", options=("--history", "3")) as cluster:
        objects = default_warehouses(cluster.api)
        start = version(objects.create("one"))
        for note in "abcd":
            objects.annotate("one", note)

        with cluster.api.watch(objects.path, resourceVersion=start) as events:
            assert next(events)["object"]["reason"] == "Expired"
        with cluster.api.watch(objects.path, resourceVersion=start + 1) as events:
            assert next(events)["object"]["metadata"]["annotations"] == {"note": "b"}


def test_events_of_different_objects_can_be_swapped(demo, objects):
    objects.create("two")
    start = version(objects.list())
    demo.faults(swapEvents=True)

    with demo.api.watch(objects.path, resourceVersion=start) as events:
        for name in ("one", "two", "one", "two"):
            objects.annotate(name, str(version(objects.list())))
        seen = [
            (event["object"]["metadata"]["name"], version(event["object"]))
            for event in map(next, [events] * 4)
        ]

    versions = [version for _, version in seen]
    assert versions != sorted(versions)
    for name in ("one", "two"):
        versions = [version for seen_name, version in seen if seen_name == name]
        assert versions == sorted(versions), "the events of an object keep their order"


def test_requests_are_counted_and_patches_recorded(demo, objects):
    demo.api.delete("/faults/log")
    demo.faults(record="note")
    objects.annotate("one", "first")
    objects.annotate("one", "second")
    objects.list()

    log = demo.fault_log()

    assert log["requests"] == {"patch warehouses": 2, "list warehouses": 1}
    assert [(patch["namespace"], patch["name"], patch["value"]) for patch in log["patches"]] == [
        ("default", "one", "first"),
        ("default", "one", "second"),
    ]
    first, second = log["patches"]
    assert first["received"] <= first["answered"] <= second["received"]


def test_faults_require_the_option(tmp_path):
    with DemoCluster(tmp_path / "strict", faults=False) as cluster:
        assert cluster.api.put("/faults", {"rules": [{"status": 500}]}).status == 404
        ok(cluster.api.get("/api/v1/namespaces"))
