"""The health of a cluster, from its objects, its Secrets and the delivery log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from receivers.cluster.heartbeats import Heartbeats
from receivers.health.finding import Finding
from receivers.health.monitor import Health
from receivers.health.secret_checks import SecretChecks
from receivers.kargo.resources import CLUSTER_CONFIGS, LEASES, WAREHOUSES
from receivers.models import Delivery, MissedPush, Origin, Outcome, ReceiverUrl, new_id
from tests.clusters import ROOT, until
from tests.contract.caches import running_cache
from tests.delivery_rows import ended, routed
from tests.worlds import Place, image, push_body

FIVE_MINUTES = timedelta(minutes=5)
BASE_URL = "https://hooks.example.com"


@pytest.fixture
def cache(database, demo_cluster):
    with running_cache(demo_cluster.kubeconfig) as cache:
        yield cache


def made(cache: Any) -> Health:
    """Return the health of a running_cache cluster, of which nothing has been looked at yet."""
    secrets = SecretChecks(cache, "kargo-system-resources")
    return Health(cache, Heartbeats(cache.cluster, "kargo"), secrets, FIVE_MINUTES, BASE_URL)


@pytest.fixture
def health(cache) -> Health:
    return made(cache)


@pytest.fixture
def place(product, world, cache) -> Place:
    """A project with a receiver that the product knows, and a Warehouse."""
    place = routed(product, world, image("acme/shop"))
    until("its URL is on record", lambda: ReceiverUrl.objects.filter(project=place.name).exists())
    Delivery.objects.filter(project=place.name).delete()  # what was sent to see that it is known
    until("the cache knows it", lambda: cache.route(place.path().rpartition("/")[2]))
    return place


def found(health: Health, place: Place) -> dict[str, Finding]:
    """Return by check what is found in a project now."""
    return {one.check: one for one in health.look() if one.project == place.name}


def delivery(place: Place, *, days: float = 0, **fields: Any) -> Delivery:
    """Put a delivery on record that arrived some days ago."""
    defaults = {"receiver": "hook", "kind": "dockerhub", "outcome": Outcome.FREIGHT_CREATED, "project": place.name}
    at = timezone.now() - timedelta(days=days)
    if fields.get("repository"):
        fields["push_id"] = new_id()
    return Delivery.objects.create(received_at=at, **(defaults | fields))


class TestReceivers:
    def test_one_that_waits_for_its_first_push_turns_good_with_it(self, product, place, health):
        assert "no_push_yet" in found(health, place)
        answer = product.post(place.path(), push_body("acme/shop"))
        ended(answer.headers["X-Kargoweb-Delivery"])
        assert set(found(health, place)) == {"url_unreachable"}  # its host is called "hooks"

    def test_a_test_is_no_push(self, place, health):
        delivery(place, origin=Origin.TEST)
        assert "no_push_yet" in found(health, place)

    def test_one_that_has_fallen_silent(self, place, health):
        for days in (4.5, 5.5, 6.5, 7.5, 8.5):
            delivery(place, days=days)
        assert "for 4 days" in found(health, place)["no_recent_push"].reason
        delivery(place)
        assert "no_recent_push" not in found(health, place)

    def test_one_whose_deliveries_end_badly(self, place, health):
        for outcome in (Outcome.FREIGHT_CREATED, *3 * [Outcome.NOT_HANDLED]):
            delivery(place, outcome=outcome)
        delivery(place, outcome=Outcome.FAILED, days=2)
        delivery(place, outcome=Outcome.FAILED, origin=Origin.TEST)
        reason = found(health, place)["high_failure_rate"].reason
        assert reason == '3 of its last 4 deliveries ended badly, "not handled".'

    def test_calls_of_a_url_that_it_had_before(self, product, place, health, cache):
        before = place.path()
        place.publish("hook", secret="s3cret2")
        until(
            "the old URL is retired",
            lambda: ReceiverUrl.objects.filter(project=place.name, retired_at__isnull=False),
        )
        answer = product.post(before, push_body("acme/shop"))
        assert ended(answer.headers["X-Kargoweb-Delivery"]).outcome == Outcome.RETIRED_URL
        now = place.path(secret="s3cret2").rpartition("/")[2]
        until("the cache knows the new one", lambda: cache.route(now))
        assert f"…{before[-6:]}), lately once" in found(health, place)["old_url_in_use"].reason

    def test_when_the_old_url_is_good_again_its_calls_are_no_longer_told(self, place, health):
        delivery(place, outcome=Outcome.RETIRED_URL, url_suffix=place.path()[-6:])
        assert "old_url_in_use" not in found(health, place)

    def test_calls_of_a_receiver_that_is_gone(self, place, health):
        delivery(place, outcome=Outcome.RETIRED_URL, receiver="former", url_suffix="abcdef")
        finding = found(health, place)["old_url_in_use"]
        assert (finding.name, finding.severity) == ("former", "urgent")

    def test_a_redelivery_to_it_and_a_refused_test_are_no_calls_of_docker_hub(self, place, health):
        gone: dict[str, Any] = {"outcome": Outcome.RETIRED_URL, "receiver": "former", "url_suffix": "abcdef"}
        delivery(place, origin=Origin.REDELIVERY, **gone)
        for _ in range(3):
            delivery(place, outcome=Outcome.TEST_REFUSED)
        assert set(found(health, place)) >= {"no_push_yet"}
        assert not {"old_url_in_use", "high_failure_rate"} & set(found(health, place))

    def test_two_with_one_url(self, world, health, cache):
        one, other = world.bare_project("twin"), world.bare_project("twina")
        one.publish("ab", secret="s3cret")
        other.publish("b", secret="s3cret")
        until("both are known", lambda: cache.config("twin") and cache.config("twina"))
        until("both are published", lambda: "url_shared" in found(health, one))
        for place in (one, other):
            assert "of a receiver of another project" in found(health, place)["url_shared"].reason


class TestWarehouses:
    def test_one_that_no_receiver_covers_until_one_does(self, world, health, cache):
        place = world.bare_project()
        place.warehouse("app", image("acme/shop"))
        until("the cache knows it", lambda: cache.warehouse(place.name, "app"))
        assert set(found(health, place)) == {"warehouse_without_receiver"}
        place.publish("hook")
        until("it is covered", lambda: "warehouse_without_receiver" not in found(health, place))

    def test_a_receiver_of_the_cluster_covers_all(self, world, health, cache):
        place = world.bare_project()
        place.warehouse("app", image("acme/shop"))
        until("the cache knows it", lambda: "warehouse_without_receiver" in found(health, place))
        spec = {"webhookReceivers": [{"name": "org", "dockerhub": {"secretRef": {"name": "org"}}}]}
        world.create(CLUSTER_CONFIGS, {"metadata": {"name": "cluster"}, "spec": spec})
        try:
            published = {"name": "org", "path": "/dockerhub/" + "f" * 64, "url": ""}
            status = {"status": {"webhookReceivers": [published]}}
            world.cluster.patch_status(CLUSTER_CONFIGS, "cluster", None, status)
            until("it is covered", lambda: "warehouse_without_receiver" not in found(health, place))
        finally:
            world.cluster.delete(CLUSTER_CONFIGS, "cluster")

    def test_one_whose_shard_has_no_controller(self, world, health, cache):
        place = world.bare_project()
        place.warehouse("app", image("ghcr.io/acme/shop"))
        world.cluster.patch(WAREHOUSES, "app", place.name, {"spec": {"shard": "eu"}})
        until(
            "the cache knows its shard", lambda: (one := cache.warehouse(place.name, "app")) and one.shard
        )
        labels = {"kargo.akuity.io/controller": "eu"}
        spec = {"leaseDurationSeconds": 60, "renewTime": "2026-03-02T12:00:00.000000Z"}
        world.create(LEASES, {"metadata": {"name": "eu", "labels": labels}, "spec": spec}, "kargo")
        try:
            assert found(health, place) == {}  # nobody has read it yet
            health._heartbeats.work()
            assert set(found(health, place)) == {"no_controller"}
        finally:
            world.cluster.delete(LEASES, "eu", "kargo")


class TestMissedPushes:
    @pytest.fixture
    def missed(self, place) -> MissedPush:
        now = timezone.now()
        return MissedPush.objects.create(
            project=place.name, warehouse="warehouse-0", repository="acme/shop", tag="1.2.3", freight="f",
            first_at=now - timedelta(hours=2), last_at=now - timedelta(hours=1),
        )  # fmt: skip

    def test_they_are_told_until_a_delivery_for_the_repository_arrives(self, place, missed, health):
        delivery(place, days=1, repository="acme/shop", tag="1.0.0")
        assert '"1.2.3"' in found(health, place)["missed_pushes"].reason
        delivery(place, repository="acme/shop", tag="1.2.4")
        assert "missed_pushes" not in found(health, place)

    @pytest.mark.parametrize("name", ["library/nginx", "_/nginx", "docker.io/library/nginx", "nginx"])
    def test_any_spelling_of_the_repository_will_do(self, place, missed, health, name):
        MissedPush.objects.filter(pk=missed.pk).update(repository="nginx")
        delivery(place, repository=name)
        assert "missed_pushes" not in found(health, place)

    def test_a_delivery_of_the_tag_that_was_stored_late_takes_it_back(self, place, missed, health):
        delivery(place, days=1.2 / 24, repository="acme/shop", tag="1.2.2")
        assert "missed_pushes" in found(health, place)
        delivery(place, days=1.1 / 24, repository="acme/shop", tag="1.2.3")
        assert "missed_pushes" not in found(health, place)

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
    def test_a_test_another_projects_and_another_repository_do_not_count(self, place, missed, health, fields):
        delivery(place, **({"repository": "acme/shop"} | fields))
        assert "missed_pushes" in found(health, place)


class TestCost:
    def test_five_queries_whatever_there_is(self, place, cache):
        for number in range(20):
            delivery(place, days=number)
        with CaptureQueriesContext(connection) as queries:
            made(cache).look()
        assert len(queries) == 5
        place.publish(*[f"hook-{number}" for number in range(20)])
        until("they are on record", lambda: ReceiverUrl.objects.filter(project=place.name).count() > 20)
        until("and known", lambda: len(cache.config(place.name).published) == 20)
        with CaptureQueriesContext(connection) as queries:
            made(cache).look()
        assert len(queries) == 5

    def test_who_looks_again_at_once_sees_the_same(self, place, health):
        before = health.findings()
        delivery(place)
        with CaptureQueriesContext(connection) as queries:
            assert health.findings() is before
            assert {one.project for one in health.findings(place.name)} == {place.name}
        assert len(queries) == 0


def test_the_background_of_a_serving_process_does_not_stumble(product, place):
    assert "is tried again" not in product.log()


def run(kubeconfig: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py health`."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "kargoweb.settings", "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(
        [sys.executable, "manage.py", "health", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestCommand:
    def test_it_ends_with_1_when_something_is_urgent(self, place, demo_cluster):
        done = run(demo_cluster.kubeconfig, "--project", place.name)
        assert done.returncode == 1, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].startswith(f"URGENT  receiver {place.name}/hook: Docker Hub cannot reach its URL")
        assert lines[-1] == "1 urgent, 1 note"
        assert place.path().rpartition("/")[2] not in done.stdout

    def test_it_ends_with_0_when_nothing_is(self, world, demo_cluster):
        place = world.bare_project()
        done = run(demo_cluster.kubeconfig, "--project", place.name)
        assert (done.returncode, done.stdout) == (0, "There is nothing to see to.\n")

    def test_json_is_the_same_for_machines(self, place, demo_cluster, health):
        done = run(demo_cluster.kubeconfig, "--project", place.name, "--json")
        assert done.returncode == 1
        expected = [one.as_dict() for one in health.findings(place.name)]
        assert json.loads(done.stdout) == expected

    def test_a_project_that_is_not_there_is_told(self, world, demo_cluster):
        done = run(demo_cluster.kubeconfig, "--project", "nowhere")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == 'CommandError: There is no project "nowhere" in this cluster.\n'

    def test_a_cluster_that_is_away_is_told_in_a_line(self, database, tmp_path):
        done = run(tmp_path / "kubeconfig", "--timeout", "2")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("CommandError: The cluster could not be read: ")
        assert len(done.stderr.splitlines()) == 1
