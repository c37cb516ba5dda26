"""After a time in which pushes were lost, the Warehouses that they may have been for are refreshed once."""

from __future__ import annotations

import itertools
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.deliveries.log_writer import LogWriter
from receivers.deliveries.spool import Spool
from receivers.deliveries.store import DeliveryStore, NotSaved
from receivers.kargo.refresh_outcomes import RefreshState
from receivers.kargo.resources import WAREHOUSES
from receivers.models import Delivery, Downtime, Origin, Outcome, Refresh, Replica
from receivers.refreshes.leases import DOWN_AFTER, ReplicaLease
from receivers.webhook.catch_up import QUIET, CatchUp, RefusedPushes
from tests.clusters import PATIENCE, until
from tests.deliveries.rows import delivery
from tests.delivery_rows import verdict_count
from tests.resilience.outages import locked
from tests.worlds import KargoProject, image


@pytest.fixture
def project(world):
    """A project with a receiver, a Warehouse that Kargo polls once a day, and others that need no catch-up."""
    project = world.bare_project()
    project.publish("hook")
    daily(project, "daily", image("example/daily"), image("example/other"))
    daily(project, "official", image("nginx"))
    daily(project, "elsewhere", image("ghcr.io/example/app"))
    project.warehouse("frequent", image("example/frequent"))  # every five minutes, which is the default
    return project


def daily(project: KargoProject, name: str, *subscriptions) -> None:
    """Create a Warehouse with an interval of a day."""
    project.warehouse(name, *subscriptions, interval="24h0m0s")


@pytest.fixture
def cache(demo_cluster, project):
    """A cache of the cluster with that project."""
    cache = ClusterCache(lambda: connect(str(demo_cluster.kubeconfig)))
    cache.start()
    assert cache.wait_ready(PATIENCE)
    yield cache
    cache.stop()


@pytest.fixture
def writer(database):
    """A running writer of the test's database."""
    writer = LogWriter()
    writer.start()
    yield writer
    writer.stop()


@pytest.fixture
def store(writer, tmp_path):
    """A store that can keep nothing on disk, so that it loses deliveries while the database is locked."""
    (tmp_path / "file").write_text("not a directory")
    spool = Spool(tmp_path / "file")
    spool.open()
    return DeliveryStore(writer, spool, 0.2, uuid4())


@pytest.fixture
def refused():
    return RefusedPushes()


@pytest.fixture
def catch_up(cache, store, refused):
    Downtime.objects.all().delete()
    return CatchUp(cache, store, refused, rate=2.0, min_interval=timedelta(minutes=5))


def down(minutes: float) -> Downtime:
    """Store a downtime of an hour that ended this long ago."""
    ended = timezone.now() - timedelta(minutes=minutes)
    return Downtime.objects.create(since=ended - timedelta(hours=1), until=ended)


def caught_up(project: KargoProject) -> dict[str, Refresh]:
    """Return the planned refreshes of a project by Warehouse."""
    rows = Refresh.objects.filter(project=project.name, delivery__origin=Origin.CATCH_UP)
    return {row.warehouse: row for row in rows.select_related("delivery")}


def test_each_warehouse_that_kargo_would_poll_late_is_refreshed_once(catch_up, project):
    down(minutes=2)
    catch_up.work()
    planned = caught_up(project)
    assert set(planned) == {"daily"}
    refresh = planned["daily"]
    assert (refresh.state, refresh.history[0]["event"]) == (RefreshState.WAITING, "planned")
    told = refresh.delivery
    assert (told.project, told.receiver, told.repository, told.tag) == (
        project.name,
        "hook",
        "example/daily",
        "",
    )
    assert (told.outcome, told.verdicts[0]["warehouse"]) == (Outcome.REFRESHED, "daily")


def test_a_downtime_is_made_up_for_once_and_its_refreshes_are_not_repeated(catch_up, project):
    down(minutes=3)
    catch_up.work()
    down(minutes=2)
    catch_up.work()
    catch_up.work()
    assert Refresh.objects.filter(project=project.name).count() == 1
    assert not Downtime.objects.filter(caught_up_at=None).exists()


def test_the_refreshes_are_spread_over_time(catch_up, project):
    for number in range(5):
        daily(project, f"more-{number}", image(f"example/more-{number}"))
    until("they are known", lambda: len(catch_up._cache.warehouses(project.name)) == 9)
    down(minutes=2)
    catch_up.work()
    due = sorted(at for refresh in caught_up(project).values() if (at := refresh.next_attempt_at))
    assert len(due) == 6
    assert min(later - earlier for earlier, later in itertools.pairwise(due)) >= timedelta(seconds=0.5)


def test_what_kargo_has_polled_since_is_left_out(catch_up, project):
    project.world.cluster.patch_status(
        WAREHOUSES,
        "daily",
        project.name,
        {"status": {"discoveredArtifacts": {"discoveredAt": f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}"}}},
    )
    until("it is known", lambda: catch_up._cache.warehouse(project.name, "daily").discovered_at)
    down(minutes=2)
    catch_up.work()
    assert caught_up(project) == {}


def test_nothing_is_planned_while_pushes_are_still_lost(catch_up, project):
    down(minutes=0)
    catch_up.work()
    assert caught_up(project) == {}


def test_a_lost_delivery_is_a_downtime(catch_up, store):
    with locked(), pytest.raises(NotSaved):
        store.save(delivery("shop"))
    catch_up.work()
    downtime = Downtime.objects.get()
    assert timezone.now() - downtime.until < QUIET


def test_a_push_that_came_before_the_cluster_was_read_is_a_downtime(catch_up, refused, project):
    refused.add("0" * 64)  # not the URL of any receiver
    catch_up.work()
    assert not Downtime.objects.exists()
    refused.add(project.path().rpartition("/")[2])
    catch_up.work()
    assert Downtime.objects.count() == 1


def test_a_start_after_the_last_sign_of_life_of_all_processes_is_a_downtime(database):
    Downtime.objects.all().delete()
    Replica.objects.all().delete()
    ReplicaLease(uuid4(), "first").renew()
    ReplicaLease(uuid4(), "second").renew()
    assert not Downtime.objects.exists()  # the first start, and one beside a running process
    last = timezone.now() - 2 * DOWN_AFTER
    Replica.objects.update(seen_at=last)
    for _ in range(2):
        ReplicaLease(uuid4(), "third").renew()
    assert Downtime.objects.get().since == last


def test_a_serving_process_catches_up_and_tells_the_story(product, project):
    until("the receiver is known", lambda: product.post(project.path(), b"[]").status == 400)
    until("the Warehouses are known", lambda: verdict_count(product, project, "example/frequent"))
    Downtime.objects.all().delete()  # those of other tests with this process, after which it would wait for `QUIET`
    down(minutes=2)
    try:
        refresh = until("it is planned", lambda: caught_up(project).get("daily"))
        until(
            "it is requested",
            lambda: Refresh.objects.get(pk=refresh.pk).token == project.token("daily") != "",
        )
        until(
            "the story is updated",
            lambda: (
                [entry["event"] for entry in Refresh.objects.get(pk=refresh.pk).history]
                == ["planned", "requested"]
            ),
        )
        assert Delivery.objects.get(pk=refresh.delivery_id).outcome == Outcome.REFRESHED
    finally:
        Downtime.objects.all().delete()
