"""The heartbeats of Kargo's controllers, read from a cluster."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from demo.controller.heartbeat import KARGO_NAMESPACE, LEASE_DURATION
from demo.controller.heartbeat import Heartbeat as DemoHeartbeat
from receivers.cluster.client import connect
from receivers.cluster.heartbeats import Heartbeats, decode_heartbeat
from receivers.kargo.resources import LEASES
from tests.clusters import ROOT, DemoCluster, until

RULES = ROOT / "deploy" / "chart" / "files" / "rbac" / "heartbeats.yaml"


@pytest.fixture
def cluster(tmp_path):
    """A cluster without a controller."""
    with DemoCluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    client = connect(str(cluster.kubeconfig))
    yield client
    client.close()


def lease(
    shard: str | None, renewed: Any = "2026-03-02T12:00:00.000000Z", seconds: Any = 60
) -> dict[str, Any]:
    labels = {} if shard is None else {"kargo.akuity.io/controller": shard}
    metadata = {"name": f"lease-{shard or 'none'}", "namespace": KARGO_NAMESPACE, "labels": labels}
    spec = {"holderIdentity": "pod", "leaseDurationSeconds": seconds, "renewTime": renewed}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def latest(client) -> Any:
    heartbeats = Heartbeats(lambda: client, KARGO_NAMESPACE)
    heartbeats.work()
    return heartbeats.latest()


def test_a_heartbeat_has_the_shard_and_expiry_of_its_lease():
    heartbeat = decode_heartbeat(lease("eu"))
    assert heartbeat is not None
    assert (heartbeat.shard, heartbeat.until) == ("eu", datetime(2026, 3, 2, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "raw",
    [lease(None), lease("eu", renewed=None), lease("eu", renewed="soon"), lease("eu", seconds=None), {}],
    ids=["not of a controller", "never renewed", "invalid time", "no duration", "empty"],
)
def test_other_leases_are_ignored(raw):
    assert decode_heartbeat(raw) is None


def test_only_the_leases_of_controllers_are_read(client):
    for shard in ("eu", "us", None):
        client.create(LEASES, lease(shard), KARGO_NAMESPACE)
    assert latest(client).keys() == {"eu", "us"}


def test_the_heartbeat_of_the_demo_controller_is_read(client):
    stopped = threading.Event()
    thread = threading.Thread(target=DemoHeartbeat(client).run, args=[stopped])
    thread.start()
    heartbeat = until("the controller has written its Lease", lambda: latest(client)).get("")
    stopped.set()
    thread.join()
    assert datetime.now(UTC) < heartbeat.until <= datetime.now(UTC) + timedelta(seconds=LEASE_DURATION)


def test_without_leases_there_are_no_heartbeats(client):
    assert latest(client) == {}


def test_without_permission_heartbeats_are_unknown(cluster):
    client = connect(str(cluster.kubeconfig_for("nobody")))
    assert latest(client) is None
    client.close()


def test_a_failed_read_discards_earlier_heartbeats(cluster, client):
    client.create(LEASES, lease("eu"), KARGO_NAMESPACE)
    heartbeats = Heartbeats(lambda: client, KARGO_NAMESPACE)
    heartbeats.work()
    cluster.faults({"resource": "leases", "status": 500})
    heartbeats.work()
    assert heartbeats.latest() is None


def test_the_role_in_deploy_is_sufficient(cluster):
    rules = yaml.safe_load(RULES.read_text())
    cluster.grant("kargoweb", [{key: rule[key] for key in ("verbs", "resources")} for rule in rules])
    reader = connect(str(cluster.kubeconfig_for("kargoweb")))
    assert latest(reader) == {}
    reader.close()
