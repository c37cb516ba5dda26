"""The health of a cluster, from its objects, its Secrets and the delivery log."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from receivers.cluster.heartbeats import Heartbeats
from receivers.health import mutes
from receivers.health.finding import Finding
from receivers.health.monitor import HealthMonitor
from receivers.health.secret_checks import SecretChecks
from receivers.kargo.resources import CLUSTER_CONFIGS, LEASES, WAREHOUSES
from receivers.models import Delivery, MissedPush, Origin, Outcome, ReceiverUrl, Replica, UnknownCall, new_id
from tests.clusters import until
from tests.commands.running import Completed, run_process
from tests.contract.caches import running_cache
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import KargoProject, image, push_body

HOUR = timedelta(hours=1)
FIVE_MINUTES = timedelta(minutes=5)
BASE_URL = "https://hooks.example.com"


@pytest.fixture
def cache(database, demo_cluster):
    with running_cache(demo_cluster.kubeconfig) as cache:
        yield cache


def new_monitor(cache: Any) -> HealthMonitor:
    """Return a monitor that hasn't run its checks yet."""
    secrets = SecretChecks(cache, "kargo-system-resources")
    return HealthMonitor(cache, Heartbeats(cache.cluster, "kargo"), secrets, FIVE_MINUTES, BASE_URL)


@pytest.fixture
def health(cache) -> HealthMonitor:
    return new_monitor(cache)


@pytest.fixture
def project(product, world, cache) -> KargoProject:
    """A project with a Warehouse and a receiver that the product knows."""
    project = routed_project(product, world, image("acme/shop"))
    until("its URL is stored", lambda: ReceiverUrl.objects.filter(project=project.name).exists())
    Delivery.objects.filter(project=project.name).delete()  # the deliveries of `routed_project`
    until("the cache has the receiver", lambda: cache.route(project.path().rpartition("/")[2]))
    until("the cache has the Warehouse", lambda: cache.warehouse(project.name, "warehouse-0"))
    return project


def findings_of(health: HealthMonitor, project: KargoProject) -> dict[str, Finding]:
    """Return the current findings of a project by check."""
    return {finding.check: finding for finding in health.run_checks() if project.name in finding.projects}


def delivery(project: KargoProject, /, *, days: float = 0, **fields: Any) -> Delivery:
    """Store a delivery that arrived `days` days ago."""
    defaults = {
        "receiver": "hook",
        "kind": "dockerhub",
        "outcome": Outcome.FREIGHT_CREATED,
        "project": project.name,
    }
    at = timezone.now() - timedelta(days=days)
    if fields.get("repository"):
        fields["push_id"] = new_id()
    return Delivery.objects.create(received_at=at, **(defaults | fields))


class TestReceivers:
    def test_a_receiver_without_a_push_is_reported_until_its_first_push(self, product, project, health):
        assert "no_push_yet" in findings_of(health, project)
        response = product.post(project.path(), push_body("acme/shop"))
        wait_for_result(response.headers["X-Kargoweb-Delivery"])
        assert set(findings_of(health, project)) == {"url_unreachable"}  # its host is called "hooks"

    def test_a_test_push_does_not_count_as_the_first_push(self, project, health):
        delivery(project, origin=Origin.TEST)
        assert "no_push_yet" in findings_of(health, project)

    def test_an_unusual_gap_between_pushes_is_reported_until_the_next_push(self, project, health):
        for days in (4.5, 5.5, 6.5, 7.5, 8.5):
            delivery(project, days=days)
        assert "for 4 days" in findings_of(health, project)["no_recent_push"].reason
        delivery(project)
        assert "no_recent_push" not in findings_of(health, project)

    def test_a_high_failure_rate_is_reported(self, project, health):
        for outcome in (Outcome.FREIGHT_CREATED, *3 * [Outcome.NOT_HANDLED]):
            delivery(project, outcome=outcome)
        delivery(project, outcome=Outcome.FAILED, days=2)
        delivery(project, outcome=Outcome.FAILED, origin=Origin.TEST)
        reason = findings_of(health, project)["high_failure_rate"].reason
        assert reason == '3 of the last 4 pushes failed: "Not handled".'

    def test_deliveries_of_one_push_count_once_with_the_last_outcome(self, project, health):
        for number, outcome in enumerate([*5 * [Outcome.NOT_HANDLED], Outcome.FREIGHT_CREATED]):
            delivery(project, days=1e-5 * (9 - number), push_id=uuid5(NAMESPACE_URL, "one"), outcome=outcome)
        delivery(project, outcome=Outcome.NOT_HANDLED)
        assert "high_failure_rate" not in findings_of(health, project)
        for _ in range(2):
            delivery(project, outcome=Outcome.NOT_HANDLED)
        reason = findings_of(health, project)["high_failure_rate"].reason
        assert reason == '3 of the last 4 pushes failed: "Not handled".'

    def test_requests_to_an_old_url_are_reported(self, product, project, health, cache):
        before = project.path()
        project.publish("hook", secret="s3cret2")
        until(
            "the old URL is retired",
            lambda: ReceiverUrl.objects.filter(project=project.name, retired_at__isnull=False),
        )
        response = product.post(before, push_body("acme/shop"))
        assert wait_for_result(response.headers["X-Kargoweb-Delivery"]).outcome == Outcome.RETIRED_URL
        now = project.path(secret="s3cret2").rpartition("/")[2]
        until("the cache has the new URL", lambda: cache.route(now))
        assert f"…{before[-6:]}): 1 request recently" in findings_of(health, project)["old_url_in_use"].reason

    def test_requests_to_a_restored_url_are_not_reported(self, project, health):
        delivery(project, outcome=Outcome.RETIRED_URL, url_suffix=project.path()[-6:])
        assert "old_url_in_use" not in findings_of(health, project)

    def test_requests_to_a_removed_receiver_are_reported(self, project, health):
        delivery(project, outcome=Outcome.RETIRED_URL, receiver="removed", url_suffix="abcdef")
        finding = findings_of(health, project)["old_url_in_use"]
        assert (finding.name, finding.severity) == ("removed", "urgent")

    def test_redeliveries_and_rejected_test_pushes_do_not_count_as_use_of_an_old_url(self, project, health):
        removed: dict[str, Any] = {
            "outcome": Outcome.RETIRED_URL,
            "receiver": "removed",
            "url_suffix": "abcdef",
        }
        delivery(project, origin=Origin.REDELIVERY, **removed)
        for _ in range(3):
            delivery(project, outcome=Outcome.TEST_REFUSED)
        assert set(findings_of(health, project)) >= {"no_push_yet"}
        assert not {"old_url_in_use", "high_failure_rate"} & set(findings_of(health, project))

    def test_receivers_that_share_a_url_are_reported(self, world, health, cache):
        first, second = world.bare_project("twin"), world.bare_project("twina")
        first.publish("ab", secret="s3cret")
        second.publish("b", secret="s3cret")
        until("the cache has both", lambda: cache.config("twin") and cache.config("twina"))
        until("the collision is reported", lambda: "url_shared" in findings_of(health, first))
        for project in (first, second):
            assert "with a receiver of another project" in findings_of(health, project)["url_shared"].reason


class TestWarehouses:
    def test_a_warehouse_without_a_receiver_is_reported_until_one_is_published(self, world, health, cache):
        project = world.bare_project()
        project.warehouse("app", image("acme/shop"))
        until("the cache has the project", lambda: cache.warehouse(project.name, "app"))
        assert set(findings_of(health, project)) == {"warehouse_without_receiver"}
        project.publish("hook")
        until(
            "the Warehouse is covered",
            lambda: "warehouse_without_receiver" not in findings_of(health, project),
        )

    def test_a_cluster_receiver_covers_every_project(self, world, health, cache):
        project = world.bare_project()
        project.warehouse("app", image("acme/shop"))
        until(
            "the cache has the project", lambda: "warehouse_without_receiver" in findings_of(health, project)
        )
        spec = {"webhookReceivers": [{"name": "org", "dockerhub": {"secretRef": {"name": "org"}}}]}
        world.create(CLUSTER_CONFIGS, {"metadata": {"name": "cluster"}, "spec": spec})
        try:
            published = {"name": "org", "path": "/dockerhub/" + "f" * 64, "url": ""}
            status = {"status": {"webhookReceivers": [published]}}
            world.cluster.patch_status(CLUSTER_CONFIGS, "cluster", None, status)
            until(
                "the Warehouse is covered",
                lambda: "warehouse_without_receiver" not in findings_of(health, project),
            )
        finally:
            world.cluster.delete(CLUSTER_CONFIGS, "cluster")

    def test_a_shard_without_a_controller_is_reported(self, world, health, cache):
        project = world.bare_project()
        project.warehouse("app", image("ghcr.io/acme/shop"))
        world.cluster.patch(WAREHOUSES, "app", project.name, {"spec": {"shard": "eu"}})

        def in_shard() -> bool:
            warehouse = cache.warehouse(project.name, "app")
            return warehouse is not None and warehouse.shard == "eu"

        until("the cache has its shard", in_shard)
        labels = {"kargo.akuity.io/controller": "eu"}
        spec = {"leaseDurationSeconds": 60, "renewTime": "2026-03-02T12:00:00.000000Z"}
        world.create(LEASES, {"metadata": {"name": "eu", "labels": labels}, "spec": spec}, "kargo")
        try:
            assert findings_of(health, project) == {}  # heartbeats have not been read yet
            health._heartbeats.work()
            assert set(findings_of(health, project)) == {"no_controller"}
        finally:
            world.cluster.delete(LEASES, "eu", "kargo")


class TestMissedPushes:
    @pytest.fixture
    def missed(self, project) -> MissedPush:
        now = timezone.now()
        return MissedPush.objects.create(
            project=project.name,
            warehouse="warehouse-0",
            repository="acme/shop",
            tag="1.2.3",
            freight="f",
            first_at=now - timedelta(hours=2),
            last_at=now - timedelta(hours=1),
        )

    def test_missed_pushes_are_reported_until_a_delivery_of_the_repository_arrives(
        self, project, missed, health
    ):
        delivery(project, days=1, repository="acme/shop", tag="1.0.0")
        assert '"1.2.3"' in findings_of(health, project)["missed_pushes"].reason
        delivery(project, repository="acme/shop", tag="1.2.4")
        assert "missed_pushes" not in findings_of(health, project)

    @pytest.mark.parametrize("name", ["library/nginx", "_/nginx", "docker.io/library/nginx", "nginx"])
    def test_any_spelling_of_the_repository_counts(self, project, missed, health, name):
        MissedPush.objects.filter(pk=missed.pk).update(repository="nginx")
        delivery(project, repository=name)
        assert "missed_pushes" not in findings_of(health, project)

    def test_an_earlier_delivery_of_the_tag_counts_if_stored_late(self, project, missed, health):
        delivery(project, days=1.2 / 24, repository="acme/shop", tag="1.2.2")
        assert "missed_pushes" in findings_of(health, project)
        delivery(project, days=1.1 / 24, repository="acme/shop", tag="1.2.3")
        assert "missed_pushes" not in findings_of(health, project)

    @pytest.mark.parametrize(
        "fields",
        [
            {"origin": Origin.TEST},
            {"outcome": Outcome.TEST_REFUSED},
            {"project": "another"},
            {"repository": "acme/web"},
        ],
        ids=str,
    )
    def test_test_pushes_and_deliveries_of_other_projects_or_repositories_do_not_count(
        self, project, missed, health, fields
    ):
        delivery(project, **({"repository": "acme/shop"} | fields))
        assert "missed_pushes" in findings_of(health, project)


class TestCost:
    def test_the_checks_take_five_queries_for_any_number_of_receivers(self, project, cache):
        for number in range(20):
            delivery(project, days=number)
        with CaptureQueriesContext(connection) as queries:
            new_monitor(cache).run_checks()
        assert len(queries) == 6
        project.publish(*[f"hook-{number}" for number in range(20)])
        until("the URLs are stored", lambda: ReceiverUrl.objects.filter(project=project.name).count() > 20)
        until("the cache has the URLs", lambda: len(cache.config(project.name).published) == 20)
        with CaptureQueriesContext(connection) as queries:
            new_monitor(cache).run_checks()
        assert len(queries) == 6

    def test_a_report_is_cached(self, project, health):
        before = health.findings()
        delivery(project)
        with CaptureQueriesContext(connection) as queries:
            assert health.findings() is before
            assert {finding.project for finding in health.findings(project.name)} == {project.name}
        assert len(queries) == 0


def test_the_background_tasks_of_a_serving_process_run_without_errors(product, project):
    assert "is tried again" not in product.log()


def run(kubeconfig: Path, *arguments: str) -> Completed:
    """Run `manage.py health`."""
    return run_process("manage.py", "health", *arguments, KUBECONFIG=str(kubeconfig))


@pytest.mark.e2e
class TestCommand:
    def test_an_urgent_finding_exits_with_1(self, project, demo_cluster):
        done = run(demo_cluster.kubeconfig, "--project", project.name)
        assert done.code == 1, done.err
        lines = done.out.splitlines()
        assert lines[0].startswith(f"URGENT  receiver {project.name}/hook: Docker Hub can't reach the URL")
        assert lines[-1] == "1 urgent, 1 note"
        assert project.path().rpartition("/")[2] not in done.out

    def test_no_findings_exit_with_0(self, world, demo_cluster):
        project = world.bare_project()
        done = run(demo_cluster.kubeconfig, "--project", project.name)
        assert (done.code, done.out) == (0, "No findings.\n")

    def test_webhooks_of_other_kinds_are_a_warning_that_exits_with_1_unless_it_is_muted(
        self, product, world, cache, demo_cluster, health
    ):
        project = world.bare_project()
        project.publish("gh", kind="ecr")
        digest = project.path("gh", "ecr").rpartition("/")[2]
        until("the cache has the project", lambda: cache.route(digest))
        response = until(
            "the webhook is recorded",
            lambda: product.post(f"/ecr/{digest}", b"{}").headers.get("X-Kargoweb-Delivery"),
        )
        wait_for_result(response)
        product.post(f"/nonsense/{'0' * 64}", b"{}")
        until("the unknown URLs are counted", UnknownCall.objects.filter(kind="nonsense").exists)
        [finding] = [finding for finding in health.findings("") if finding.check == "misrouted_webhooks"]
        assert finding.severity == "warning"
        assert "receivers of kinds that kargoweb doesn't support (ecr) arrived" in finding.reason
        done = run(demo_cluster.kubeconfig, "--project", "cluster")
        assert done.code == 1
        assert f"WARNING  cluster kargoweb: {finding.reason}" in done.out
        mutes.mute(finding, "jane", "")
        try:
            assert run(demo_cluster.kubeconfig, "--project", "cluster").code == 0
        finally:
            mutes.unmute(finding)

    def test_json_has_the_same_findings(self, project, demo_cluster, health):
        done = run(demo_cluster.kubeconfig, "--project", project.name, "--json")
        assert done.code == 1
        expected = [finding.as_dict() for finding in health.findings(project.name)]
        assert done.json == expected

    def test_urls_are_those_of_the_running_installation_unless_the_setting_is_given(
        self, database, world, demo_cluster
    ):
        project = world.bare_project()
        project.base = "http://localhost:4321"
        project.publish("hook")
        now = timezone.now()
        # It renews its lease later than the serving processes of other tests.
        row = Replica.objects.create(
            id=uuid4(),
            host="demo",
            version="1",
            base_url="http://localhost:4321",
            started_at=now,
            seen_at=now + HOUR,
        )
        try:
            running = run(demo_cluster.kubeconfig)
            given = run_process(
                "manage.py",
                "health",
                KUBECONFIG=str(demo_cluster.kubeconfig),
                KARGOWEB_BASE_URL="http://localhost:99",
            )
        finally:
            row.delete()
        assert "kargoweb's base URL is http://localhost:4321, " in running.out
        assert "kargoweb's base URL is http://localhost:99, " in given.out

    def test_an_unknown_project_is_an_error(self, world, demo_cluster):
        done = run(demo_cluster.kubeconfig, "--project", "nowhere")
        assert (done.code, done.out) == (3, "")
        assert done.err == 'CommandError: Project "nowhere" doesn\'t exist in this cluster.\n'

    def test_a_missing_kubeconfig_is_an_immediate_error_of_one_line(self, database, tmp_path):
        done = run(tmp_path / "kubeconfig", "--timeout", "50")
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith("CommandError: Can't connect to the cluster: ")
        assert len(done.err.splitlines()) == 1
