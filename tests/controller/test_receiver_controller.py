"""kargoweb manages receivers: URLs, status and conditions as Kargo writes them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, ClassVar

import pytest

from receivers.cluster.errors import NotFound
from receivers.kargo.kinds import KINDS
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
def project(world):
    """A project without a ProjectConfig."""
    return world.bare_project()


def secret(project: KargoProject, name: str, value: bytes, key: str = "secret") -> None:
    """Create or update a Secret."""
    data = {key: base64.b64encode(value).decode()}
    cluster = project.world.cluster
    try:
        cluster.patch(SECRETS, name, project.name, {"data": data})
    except NotFound:
        project.world.create(SECRETS, {"metadata": {"name": name}, "data": data}, project.name)


def dockerhub(name: str, ref: str) -> dict[str, Any]:
    """Return a Docker Hub receiver with a reference to a Secret."""
    return {"name": name, "dockerhub": {"secretRef": {"name": ref}}}


def configure(project: KargoProject, **receivers: str) -> None:
    """Create the ProjectConfig with Docker Hub receivers, given as name=Secret."""
    entries = [dockerhub(name, ref) for name, ref in receivers.items()]
    metadata = {"name": project.name, "namespace": project.name}
    project.world.create(
        PROJECT_CONFIGS, {"metadata": metadata, "spec": {"webhookReceivers": entries}}, project.name
    )


def status(project: KargoProject) -> dict[str, Any]:
    """Return the status of the ProjectConfig."""
    raw = project.world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
    status: dict[str, Any] = raw.get("status", {})
    return status


def condition(project: KargoProject, type_: str) -> dict[str, Any]:
    """Return a condition of the ProjectConfig, or an empty dict."""
    return next((item for item in status(project).get("conditions", []) if item["type"] == type_), {})


def urls(project: KargoProject) -> dict[str, str]:
    """Return the published URLs by receiver name."""
    return {item["name"]: item["url"] for item in status(project).get("webhookReceivers", [])}


def url(project: KargoProject, receiver: str, value: bytes) -> str:
    """Return the URL that Kargo computes."""
    digest = hashlib.sha256(project.name.encode() + receiver.encode() + value).hexdigest()
    return f"{BASE}/dockerhub/{digest}"


def test_a_receiver_gets_its_url_and_the_config_becomes_ready(project):
    secret(project, "hooks", b"soylent green is people\n")
    configure(project, hook="hooks")
    expected = url(project, "hook", b"soylent green is people\n")
    until("the URL is published", lambda: urls(project) == {"hook": expected})
    path = expected.removeprefix("https://hooks.example.com")
    assert status(project)["webhookReceivers"] == [{"name": "hook", "path": path, "url": expected}]
    ready = condition(project, "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == (
        "True",
        "Synced",
        "ProjectConfig is synced and ready for use",
    )
    assert not condition(project, "Reconciling")
    assert status(project)["observedGeneration"] == 1


def test_a_push_to_the_published_url_refreshes_the_warehouse(project, manager):
    secret(project, "hooks", b"s")
    project.warehouse("app", image("example/managed"))
    configure(project, hook="hooks")
    path = until("the URL is published", lambda: urls(project).get("hook")).removeprefix(
        "https://hooks.example.com"
    )
    until(
        "a push is accepted", lambda: b"refreshed 1" in manager.post(path, push_body("example/managed")).data
    )
    assert project.token("app")


def test_a_missing_secret_is_reported_and_does_not_affect_other_receivers(project):
    secret(project, "hooks", b"s")
    configure(project, good="hooks", bad="nowhere")
    until("the good receiver is published", lambda: urls(project) == {"good": url(project, "good", b"s")})
    ready = condition(project, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SyncWebhookReceiversFailed")
    assert ready["message"] == (
        'Failed to sync WebhookReceivers: error syncing WebhookReceiver "bad": error getting Secret "nowhere" '
        f'in namespace "{project.name}": secrets "nowhere" not found'
    )
    assert condition(project, "Reconciling")["status"] == "True"
    assert "observedGeneration" not in status(project)
    secret(project, "nowhere", b"created later")
    until("both receivers are published", lambda: urls(project).keys() == {"good", "bad"})
    until("the config is ready", lambda: condition(project, "Ready")["status"] == "True")


def test_a_missing_key_is_reported_in_the_condition(project):
    secret(project, "hooks", b"s", key="token")
    configure(project, hook="hooks")
    until(
        "the problem is reported",
        lambda: (
            condition(project, "Ready")
            .get("message", "")
            .endswith('missing data key "secret" for DockerHub WebhookReceiver')
        ),
    )
    assert urls(project) == {}


def test_an_empty_secret_name_is_reported_and_does_not_affect_other_receivers(project):
    secret(project, "hooks", b"s")
    configure(project, bad="", good="hooks")
    until("the good receiver is published", lambda: urls(project) == {"good": url(project, "good", b"s")})
    assert condition(project, "Ready")["message"] == (
        'Failed to sync WebhookReceivers: error syncing WebhookReceiver "bad": error getting Secret "" '
        f'in namespace "{project.name}": resource name may not be empty'
    )


def test_an_unreadable_secret_keeps_the_url_and_does_not_affect_other_receivers(own_cluster, project):
    secret(project, "hooks", b"s")
    configure(project, hook="hooks")
    until("the URL is published", lambda: urls(project) == {"hook": url(project, "hook", b"s")})
    own_cluster.faults({"verb": "get", "resource": "secrets", "name": "hooks", "status": 403})
    try:
        secret(project, "other", b"s")
        entries = [dockerhub("hook", "hooks"), dockerhub("other", "other")]
        project.world.cluster.patch(
            PROJECT_CONFIGS, project.name, project.name, {"spec": {"webhookReceivers": entries}}
        )
        until("the other receiver is published", lambda: urls(project).keys() == {"hook", "other"})
        assert 'error getting Secret "hooks" in namespace' in condition(project, "Ready")["message"]
    finally:
        own_cluster.faults()


class TestOtherKinds:
    """Receivers of kinds that kargoweb does not serve stay as they are."""

    PUBLISHED: ClassVar = {
        "name": "gh",
        "path": f"/ecr/{'a1' * 32}",
        "url": f"https://kargo/ecr/{'a1' * 32}",
    }
    UNKNOWN: ClassVar = {"name": "gh", "ecr": {"secretRef": {"name": "hooks"}}}

    def create(self, project: KargoProject, *entries: dict[str, Any], **status: Any) -> None:
        metadata = {"name": project.name, "namespace": project.name}
        body = {"metadata": metadata, "spec": {"webhookReceivers": list(entries)}}
        project.world.create(PROJECT_CONFIGS, body, project.name)
        status = {"webhookReceivers": [self.PUBLISHED], **status}
        project.world.cluster.patch_status(PROJECT_CONFIGS, project.name, project.name, {"status": status})

    def test_they_keep_their_urls_and_the_config_is_ready(self, project):
        secret(project, "hooks", b"s")
        self.create(project, self.UNKNOWN, dockerhub("hook", "hooks"))
        until("the URL is published", lambda: urls(project).get("hook") == url(project, "hook", b"s"))
        until("the config is ready", lambda: condition(project, "Ready").get("status") == "True")
        assert status(project)["webhookReceivers"][0] == self.PUBLISHED

    def test_a_config_with_no_others_is_not_written(self, project, world):
        ready = {"type": "Ready", "status": "False", "reason": "Kargos", "message": "not ours"}
        ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        self.create(project, self.UNKNOWN, conditions=[ready])
        before = world.cluster.get(PROJECT_CONFIGS, project.name, project.name)
        later = world.bare_project()
        secret(later, "hooks", b"s")
        configure(later, hook="hooks")
        until("a later config is published", lambda: urls(later))
        assert world.cluster.get(PROJECT_CONFIGS, project.name, project.name) == before

    def test_a_receiver_that_is_now_of_another_kind_loses_its_old_url(self, project):
        secret(project, "hooks", b"s")
        configure(project, hook="hooks", gh="hooks")
        until("both URLs are published", lambda: urls(project).keys() == {"hook", "gh"})
        entries = [dockerhub("hook", "hooks"), self.UNKNOWN]
        project.world.cluster.patch(
            PROJECT_CONFIGS, project.name, project.name, {"spec": {"webhookReceivers": entries}}
        )
        until("the old URL is gone", lambda: urls(project).keys() == {"hook"})


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_receiver_of_every_kind_gets_its_url(project, kind):
    secret(project, "hooks", b"s", key=KINDS[kind].secret_key)
    secret(project, "empty", b"s", key="another")
    entries = [{"name": name, kind: {"secretRef": {"name": name}}} for name in ("hooks", "empty")]
    project.world.create(
        PROJECT_CONFIGS,
        {
            "metadata": {"name": project.name, "namespace": project.name},
            "spec": {"webhookReceivers": entries},
        },
        project.name,
    )
    until("the URL is published", lambda: urls(project).get("hooks"))
    assert urls(project) == {"hooks": f"https://hooks.example.com/kargo{project.path('hooks', kind, 's')}"}
    message = condition(project, "Ready")["message"]
    assert message.endswith(f": {KINDS[kind].without_key}")


def test_a_rotated_secret_changes_the_url_and_retires_the_old_url(project, manager):
    secret(project, "hooks", b"old")
    configure(project, hook="hooks")
    old = until("the URL is published", lambda: urls(project).get("hook")).removeprefix(
        "https://hooks.example.com"
    )
    until("a push is accepted", lambda: manager.post(old, b"{}").status == 200)
    secret(project, "hooks", b"new")
    project.world.cluster.patch(
        PROJECT_CONFIGS,
        project.name,
        project.name,
        {"metadata": {"annotations": {REFRESH_ANNOTATION: "please"}}},
    )
    until("the new URL is published", lambda: urls(project) == {"hook": url(project, "hook", b"new")})
    # The change of the Secret alone may have published the URL.
    until("the refresh is handled", lambda: status(project).get("lastHandledRefresh") == "please")
    response = until("the old URL is retired", lambda: _if_status(manager.post(old, push_body("a/b")), 404))
    assert response.data == b"{}\n"
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.project, delivery.receiver, delivery.outcome) == (
        project.name,
        "hook",
        Outcome.RETIRED_URL,
    )


def test_a_rotated_secret_is_detected_without_a_refresh(project):
    secret(project, "hooks", b"old")
    configure(project, hook="hooks")
    until("the old URL is published", lambda: urls(project) == {"hook": url(project, "hook", b"old")})
    secret(project, "hooks", b"new")
    until("the new URL is published", lambda: urls(project) == {"hook": url(project, "hook", b"new")})


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
    until(
        "only the receiver with a unique digest is left",
        lambda: not urls(first) and urls(second).keys() == {"other"},
    )
    secret(second, "hooks", b"another")
    world.cluster.patch(
        PROJECT_CONFIGS, second.name, second.name, {"metadata": {"annotations": {REFRESH_ANNOTATION: "now"}}}
    )
    until(
        "both have URLs again", lambda: urls(first).keys() == {"ab"} and urls(second).keys() == {"b", "other"}
    )


def test_a_config_without_receivers_is_ready(project):
    metadata = {"name": project.name, "namespace": project.name}
    project.world.create(PROJECT_CONFIGS, {"metadata": metadata, "spec": {}}, project.name)
    until("the config is ready", lambda: condition(project, "Ready").get("status") == "True")
    assert "webhookReceivers" not in status(project)


def test_a_cluster_receiver_refreshes_the_warehouses_of_all_projects(world, manager):
    projects = [world.bare_project() for _ in range(2)]
    for project in projects:
        project.warehouse("app", image("example/everywhere"))
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
    assert all(project.token("app") for project in projects)
    message = until(
        "the config is ready",
        lambda: world.cluster.get(CLUSTER_CONFIGS, "cluster")["status"]["conditions"][0]["message"],
    )
    assert message == "ClusterConfig is synced and ready for use"


def _if_two_refreshed(response):
    return response if response.data == b'{"msg":"refreshed 2 warehouse(s)"}\n' else None


def test_an_unchanged_status_is_not_written_again(project):
    secret(project, "hooks", b"s")
    configure(project, hook="hooks")
    until("the config is ready", lambda: condition(project, "Ready").get("status") == "True")
    version = project.world.cluster.get(PROJECT_CONFIGS, project.name, project.name)["metadata"][
        "resourceVersion"
    ]
    secret(project, "unrelated", b"s")
    project.world.cluster.patch(
        PROJECT_CONFIGS, project.name, project.name, {"metadata": {"annotations": {REFRESH_ANNOTATION: "x"}}}
    )
    until("the refresh is handled", lambda: status(project).get("lastHandledRefresh") == "x")
    after = project.world.cluster.get(PROJECT_CONFIGS, project.name, project.name)["metadata"][
        "resourceVersion"
    ]
    assert int(after) > int(version)
    assert Delivery.objects.filter(project=project.name).count() == 0
