"""kargoweb manages receivers: URLs, status and conditions as Kargo writes them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from receivers.cluster.errors import NotFound
from receivers.kargo.resources import CLUSTER_CONFIGS, PROJECT_CONFIGS, REFRESH_ANNOTATION, SECRETS
from receivers.models import Delivery, Outcome
from tests.clusters import DemoCluster, until
from tests.delivery_rows import wait_for_result
from tests.product import Product
from tests.worlds import KargoProject, World, image, push_body

BASE = "https://hooks.example.com/kargo"


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory):
    """A cluster without another controller of receivers."""
    with DemoCluster(tmp_path_factory.mktemp("managed")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def managers(database, own_cluster):
    """Two replicas that both manage receivers."""
    options = {"KARGOWEB_MANAGE_RECEIVERS": "true", "KARGOWEB_BASE_URL": BASE}
    kubeconfig = own_cluster.kubeconfig_for("manager")
    with Product(kubeconfig, **options) as first, Product(kubeconfig, **options) as second:
        yield first, second


@pytest.fixture
def manager(managers):
    return managers[0]


@pytest.fixture
def world(own_cluster, manager):
    """Creates objects in the managed cluster."""
    with World(own_cluster.kubeconfig) as world:
        yield world


@pytest.fixture
def place(world):
    """A project without a ProjectConfig."""
    return world.bare_project()


def secret(place: KargoProject, name: str, value: bytes, key: str = "secret") -> None:
    """Create or update a Secret."""
    data = {key: base64.b64encode(value).decode()}
    cluster = place.world.cluster
    try:
        cluster.patch(SECRETS, name, place.name, {"data": data})
    except NotFound:
        place.world.create(SECRETS, {"metadata": {"name": name}, "data": data}, place.name)


def configure(place: KargoProject, **receivers: str) -> None:
    """Create the ProjectConfig with Docker Hub receivers, given as name=Secret."""
    entries = [{"name": name, "dockerhub": {"secretRef": {"name": ref}}} for name, ref in receivers.items()]
    metadata = {"name": place.name, "namespace": place.name}
    place.world.create(
        PROJECT_CONFIGS, {"metadata": metadata, "spec": {"webhookReceivers": entries}}, place.name
    )


def status(place: KargoProject) -> dict[str, Any]:
    """Return the status of the ProjectConfig."""
    raw = place.world.cluster.get(PROJECT_CONFIGS, place.name, place.name)
    status: dict[str, Any] = raw.get("status", {})
    return status


def condition(place: KargoProject, type_: str) -> dict[str, Any]:
    """Return a condition of the ProjectConfig, or an empty dict."""
    return next((item for item in status(place).get("conditions", []) if item["type"] == type_), {})


def urls(place: KargoProject) -> dict[str, str]:
    """Return the published URLs by receiver name."""
    return {item["name"]: item["url"] for item in status(place).get("webhookReceivers", [])}


def url(place: KargoProject, receiver: str, value: bytes) -> str:
    """Return the URL that Kargo computes."""
    digest = hashlib.sha256(place.name.encode() + receiver.encode() + value).hexdigest()
    return f"{BASE}/dockerhub/{digest}"


def test_a_receiver_gets_its_url_and_the_config_becomes_ready(place):
    secret(place, "hooks", b"soylent green is people\n")
    configure(place, hook="hooks")
    expected = url(place, "hook", b"soylent green is people\n")
    until("the URL is published", lambda: urls(place) == {"hook": expected})
    path = expected.removeprefix("https://hooks.example.com")
    assert status(place)["webhookReceivers"] == [{"name": "hook", "path": path, "url": expected}]
    ready = condition(place, "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "True",
        "Synced",
        "ProjectConfig is synced and ready for use",
    )
    assert not condition(place, "Reconciling")
    assert status(place)["observedGeneration"] == 1


def test_a_push_to_the_published_url_refreshes_the_warehouse(place, manager):
    secret(place, "hooks", b"s")
    place.warehouse("app", image("example/managed"))
    configure(place, hook="hooks")
    path = until("the URL is published", lambda: urls(place).get("hook")).removeprefix(
        "https://hooks.example.com"
    )
    until(
        "a push is accepted", lambda: b"refreshed 1" in manager.post(path, push_body("example/managed")).data
    )
    assert place.token("app")


def test_a_missing_secret_is_reported_and_does_not_affect_other_receivers(place):
    secret(place, "hooks", b"s")
    configure(place, good="hooks", bad="nowhere")
    until("the good receiver is published", lambda: urls(place) == {"good": url(place, "good", b"s")})
    ready = condition(place, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SyncWebhookReceiversFailed")
    assert ready["message"] == (
        'Failed to sync WebhookReceivers: error syncing WebhookReceiver "bad": error getting Secret "nowhere" '
        f'in namespace "{place.name}": secrets "nowhere" not found'
    )
    assert condition(place, "Reconciling")["status"] == "True"
    assert "observedGeneration" not in status(place)
    secret(place, "nowhere", b"created later")
    until("both are published", lambda: urls(place).keys() == {"good", "bad"})
    until("the config is ready", lambda: condition(place, "Ready")["status"] == "True")


def test_a_missing_key_is_reported_in_the_condition(place):
    secret(place, "hooks", b"s", key="token")
    configure(place, hook="hooks")
    until(
        "the problem is reported",
        lambda: 'missing data key "secret"' in condition(place, "Ready").get("message", ""),
    )
    assert urls(place) == {}


def test_an_unsupported_kind_is_reported_in_the_condition(place):
    entries = [{"name": "gh", "github": {"secretRef": {"name": "hooks"}}}]
    metadata = {"name": place.name, "namespace": place.name}
    body = {"metadata": metadata, "spec": {"webhookReceivers": entries}}
    place.world.create(PROJECT_CONFIGS, body, place.name)
    until(
        "the problem is reported",
        lambda: 'does not support "github"' in condition(place, "Ready").get("message", ""),
    )


def test_a_rotated_secret_changes_the_url_and_retires_the_old_url(place, manager):
    secret(place, "hooks", b"old")
    configure(place, hook="hooks")
    old = until("the URL is published", lambda: urls(place).get("hook")).removeprefix(
        "https://hooks.example.com"
    )
    until("a push is accepted", lambda: manager.post(old, b"{}").status == 200)
    secret(place, "hooks", b"new")
    place.world.cluster.patch(
        PROJECT_CONFIGS, place.name, place.name, {"metadata": {"annotations": {REFRESH_ANNOTATION: "please"}}}
    )
    until("the new URL is published", lambda: urls(place) == {"hook": url(place, "hook", b"new")})
    assert status(place)["lastHandledRefresh"] == "please"
    response = until("the old URL is retired", lambda: _if_status(manager.post(old, push_body("a/b")), 404))
    assert response.data == b"{}\n"
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.project, delivery.receiver, delivery.outcome) == (
        place.name,
        "hook",
        Outcome.RETIRED_URL,
    )


def test_a_rotated_secret_is_detected_without_a_refresh(place):
    secret(place, "hooks", b"old")
    configure(place, hook="hooks")
    until("the old URL is published", lambda: urls(place) == {"hook": url(place, "hook", b"old")})
    secret(place, "hooks", b"new")
    until("the new URL is published", lambda: urls(place) == {"hook": url(place, "hook", b"new")})


def _if_status(response, expected):
    return response if response.status == expected else None


def test_receivers_that_share_a_digest_are_both_rejected(world):
    first = world.bare_project("colliding-team")
    second = world.bare_project("colliding-teama")
    secret(first, "hooks", b"same")
    secret(second, "hooks", b"same")
    configure(first, ab="hooks")
    configure(second, b="hooks", other="hooks")
    until(
        "the first project reports it",
        lambda: "colliding-teama/b" in condition(first, "Ready").get("message", ""),
    )
    until(
        "the second project reports it",
        lambda: "colliding-team/ab" in condition(second, "Ready").get("message", ""),
    )
    until("only the other one is left", lambda: not urls(first) and urls(second).keys() == {"other"})
    secret(second, "hooks", b"another")
    world.cluster.patch(
        PROJECT_CONFIGS, second.name, second.name, {"metadata": {"annotations": {REFRESH_ANNOTATION: "now"}}}
    )
    until(
        "both have URLs again", lambda: urls(first).keys() == {"ab"} and urls(second).keys() == {"b", "other"}
    )


def test_a_config_without_receivers_is_ready(place):
    metadata = {"name": place.name, "namespace": place.name}
    place.world.create(PROJECT_CONFIGS, {"metadata": metadata, "spec": {}}, place.name)
    until("the config is ready", lambda: condition(place, "Ready").get("status") == "True")
    assert "webhookReceivers" not in status(place)


def test_a_cluster_receiver_refreshes_the_warehouses_of_all_projects(world, manager):
    places = [world.bare_project() for _ in range(2)]
    for place in places:
        place.warehouse("app", image("example/everywhere"))
    data = {"secret": base64.b64encode(b"cluster").decode()}
    world.create(SECRETS, {"metadata": {"name": "hooks"}, "data": data}, "kargo-system-resources")
    entries = [{"name": "all", "dockerhub": {"secretRef": {"name": "hooks"}}}]
    world.create(CLUSTER_CONFIGS, {"metadata": {"name": "cluster"}, "spec": {"webhookReceivers": entries}})
    path = f"/dockerhub/{hashlib.sha256(b'allcluster').hexdigest()}"
    response = until(
        "both Warehouses match",
        lambda: _if_two_refreshed(manager.post(path, push_body("example/everywhere"))),
    )
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.project, delivery.receiver) == ("", "all")
    assert all(place.token("app") for place in places)
    message = until(
        "the config is ready",
        lambda: world.cluster.get(CLUSTER_CONFIGS, "cluster")["status"]["conditions"][0]["message"],
    )
    assert message == "ClusterConfig is synced and ready for use"


def _if_two_refreshed(response):
    return response if response.data == b'{"msg":"refreshed 2 warehouse(s)"}\n' else None


def test_an_unchanged_status_is_not_written_again(place):
    secret(place, "hooks", b"s")
    configure(place, hook="hooks")
    until("the config is ready", lambda: condition(place, "Ready").get("status") == "True")
    version = place.world.cluster.get(PROJECT_CONFIGS, place.name, place.name)["metadata"]["resourceVersion"]
    secret(place, "unrelated", b"s")
    place.world.cluster.patch(
        PROJECT_CONFIGS, place.name, place.name, {"metadata": {"annotations": {REFRESH_ANNOTATION: "x"}}}
    )
    until("the refresh is handled", lambda: status(place).get("lastHandledRefresh") == "x")
    after = place.world.cluster.get(PROJECT_CONFIGS, place.name, place.name)["metadata"]["resourceVersion"]
    assert int(after) > int(version)
    assert Delivery.objects.filter(project=place.name).count() == 0
