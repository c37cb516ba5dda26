"""kubectl works with the demo: the commands of Kargo's documentation, and common commands.

Runs with the kubectl on PATH and with those in `KARGOWEB_TEST_KUBECTL` (separated as in PATH).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import PATIENCE, DemoCluster, until
from tests.components import require

KUBECTL_ON_PATH = shutil.which("kubectl")
KUBECTLS: list[Any] = [path for path in os.environ.get("KARGOWEB_TEST_KUBECTL", "").split(os.pathsep) if path]
KUBECTLS += [KUBECTL_ON_PATH] if KUBECTL_ON_PATH else []

Kubectl = Callable[..., str]

PROJECT = """
apiVersion: kargo.akuity.io/v1alpha1
kind: Project
metadata:
  name: kargo-demo
"""
# Verbatim from Kargo's page about the Docker Hub webhook receiver.
RECEIVER = """
apiVersion: v1
kind: Secret
metadata:
  name: dh-wh-secret
  namespace: kargo-demo
stringData:
  secret: <your-static-token-here>
---
apiVersion: kargo.akuity.io/v1alpha1
kind: ProjectConfig
metadata:
  name: kargo-demo
  namespace: kargo-demo
spec:
  webhookReceivers:
    - name: dockerhub-receiver
      dockerhub:
        secretRef:
          name: dh-wh-secret
"""
WAREHOUSE = """
apiVersion: kargo.akuity.io/v1alpha1
kind: Warehouse
metadata:
  name: app
  namespace: kargo-demo
  labels:
    team: a
spec:
  shard: east
  subscriptions:
    - image:
        repoURL: example/app
        imageSelectionStrategy: SemVer
        strictSemvers: true
        discoveryLimit: 20
        constraint: ^1.0.0
"""
STATUS = {
    "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "message": "fine"}],
    "webhookReceivers": [{"name": "dockerhub-receiver", "path": "/p", "url": "http://localhost/p"}],
}
BASE = "/apis/kargo.akuity.io/v1alpha1/namespaces/kargo-demo"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with DemoCluster(tmp_path_factory.mktemp("kubectl"), anonymous_admin=True) as cluster:
        yield cluster


@pytest.fixture(scope="module", params=KUBECTLS or [""])
def command(request, server, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return [
        request.param or require("kubectl"),
        "--kubeconfig",
        str(server.kubeconfig),
        "--cache-dir",
        str(home),
    ], home


@pytest.fixture
def kubectl(command, server) -> Kubectl:
    """Run a kubectl command in a new Project, and return its output. `fails` is whether the command must fail."""
    arguments, home = command
    server.api.delete("/apis/kargo.akuity.io/v1alpha1/projects/kargo-demo")

    def run(line: str, stdin: str = "", *, fails: bool = False, **environment: str) -> str:
        done = subprocess.run(
            [*arguments, *line.split(" ")],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "HOME": str(home), **environment},
        )
        assert (done.returncode != 0) is fails, done.stderr
        return done.stdout + (done.stderr if fails else "")

    run("apply -f -", PROJECT)
    return run


@pytest.fixture
def warehouse(kubectl: Kubectl) -> None:
    kubectl("apply -f -", WAREHOUSE)


def test_the_commands_of_the_docker_hub_receiver_page_work(kubectl, server):
    assert kubectl("apply -f -", RECEIVER) == (
        "secret/dh-wh-secret created\nprojectconfig.kargo.akuity.io/kargo-demo created\n"
    )
    server.api.patch(f"{BASE}/projectconfigs/kargo-demo/status", {"status": STATUS})

    output = kubectl("get projectconfigs kargo-demo -n kargo-demo -o=jsonpath={.status.webhookReceivers}")

    assert json.loads(output) == STATUS["webhookReceivers"]
    assert "unchanged" in kubectl("apply -f -", RECEIVER)


def test_applying_again_changes_only_what_changed(kubectl, server):
    assert "created" in kubectl("apply -f -", WAREHOUSE)
    assert "unchanged" in kubectl("apply -f -", WAREHOUSE)
    assert "configured" in kubectl("apply -f -", WAREHOUSE.replace("^1.0.0", "^2.0.0"))

    spec = server.api.get(f"{BASE}/warehouses/app").body["spec"]
    assert spec["subscriptions"][0]["image"]["constraint"] == "^2.0.0"
    assert spec["interval"] == "5m0s", "defaults stay"


def test_get_prints_tables(kubectl, server, warehouse):
    kubectl("apply -f -", RECEIVER)
    server.api.patch(f"{BASE}/projectconfigs/kargo-demo/status", {"status": STATUS})

    rows = [line.split() for line in kubectl("get warehouses -A").splitlines()]
    assert rows[0] == ["NAMESPACE", "NAME", "SHARD", "AGE"]
    assert rows[1][:3] == ["kargo-demo", "app", "east"]
    rows = [line.split() for line in kubectl("get projectconfig -n kargo-demo -o wide").splitlines()]
    assert rows[0] == ["NAME", "READY", "STATUS", "AGE"]
    assert rows[1][:3] == ["kargo-demo", "True", "fine"]
    assert "dh-wh-secret" in kubectl("get secrets,projects,warehouses,freights,events,leases -n kargo-demo")


def test_every_output_format_works(kubectl, warehouse):
    assert json.loads(kubectl("get warehouse app -n kargo-demo -o json"))["kind"] == "Warehouse"
    assert "kind: Warehouse\n" in kubectl("get warehouse app -n kargo-demo -o yaml")
    assert kubectl("get warehouses -n kargo-demo -o name") == "warehouse.kargo.akuity.io/app\n"
    assert kubectl("get warehouses -n kargo-demo -o jsonpath={.items[*].spec.shard}") == "east"


def test_lists_can_be_filtered_by_selectors(kubectl, warehouse):
    assert kubectl("get warehouses -A -l team=a -o name")
    assert not kubectl("get warehouses -A -l team!=a -o name")
    assert kubectl("get warehouses -A --field-selector metadata.name=app -o name")


def test_a_watch_prints_changes(kubectl, command, server, warehouse, tmp_path: Path):
    seen = tmp_path / "seen"
    with seen.open("w") as output:
        watching = subprocess.Popen(
            [*command[0], "get", "warehouses", "-n", "kargo-demo", "-w"], stdout=output
        )
        try:
            until("the current state is printed", lambda: len(seen.read_text().splitlines()) == 2)
            server.api.patch(f"{BASE}/warehouses/app", {"spec": {"shard": "west"}})
            until("the change is printed", lambda: "west" in seen.read_text())
        finally:
            watching.terminate()
            watching.wait(PATIENCE)


def test_objects_are_patched_annotated_and_labeled(kubectl, server, warehouse):
    kubectl('patch warehouse app -n kargo-demo --type merge -p {"spec":{"interval":"1m0s"}}')
    kubectl('patch warehouse app -n kargo-demo --type json -p [{"op":"remove","path":"/spec/shard"}]')
    kubectl("annotate warehouse app -n kargo-demo kargo.akuity.io/refresh=now")
    kubectl("annotate warehouse app -n kargo-demo kargo.akuity.io/refresh=then --overwrite")
    kubectl("label warehouse app -n kargo-demo a=b team-")

    patched = server.api.get(f"{BASE}/warehouses/app").body
    assert (patched["spec"]["interval"], "shard" in patched["spec"]) == ("1m0s", False)
    assert patched["metadata"]["annotations"]["kargo.akuity.io/refresh"] == "then"
    assert patched["metadata"]["labels"] == {"a": "b"}


def test_a_secret_is_created_patched_and_replaced(kubectl, server):
    path = "/api/v1/namespaces/kargo-demo/secrets/token"
    kubectl("create secret generic token -n kargo-demo --from-literal=secret=one")
    assert server.api.get(path).body["data"] == {"secret": "b25l"}

    kubectl('patch secret token -n kargo-demo -p {"stringData":{"extra":"two"}}')
    assert server.api.get(path).body["data"] == {"secret": "b25l", "extra": "dHdv"}

    kubectl("replace -f -", kubectl("get secret token -n kargo-demo -o yaml").replace("b25l", "dHdv"))
    assert server.api.get(path).body["data"] == {"secret": "dHdv", "extra": "dHdv"}


def test_edit_saves_changes(kubectl, server, warehouse):
    kubectl("edit warehouse app -n kargo-demo", EDITOR="sed -i s/5m0s/7m0s/")

    assert server.api.get(f"{BASE}/warehouses/app").body["spec"]["interval"] == "7m0s"


def test_wait_returns_when_the_condition_is_met(kubectl, server):
    kubectl("apply -f -", RECEIVER)
    server.api.patch(f"{BASE}/projectconfigs/kargo-demo/status", {"status": STATUS})

    assert "condition met" in kubectl(
        "wait --for=condition=Ready projectconfig/kargo-demo -n kargo-demo --timeout=9s"
    )


def test_delete_waits_until_the_object_is_gone(kubectl, server, warehouse):
    kubectl("create namespace brief")
    assert "deleted" in kubectl("delete warehouse app -n kargo-demo")
    assert "deleted" in kubectl("delete namespace brief")

    assert server.api.get(f"{BASE}/warehouses/app").status == 404
    assert "not found" in kubectl("get warehouse app -n kargo-demo", fails=True)


def test_describe_shows_spec_and_events(kubectl, server, warehouse):
    uid = server.api.get(f"{BASE}/warehouses/app").body["metadata"]["uid"]
    involved = {"kind": "Warehouse", "name": "app", "namespace": "kargo-demo", "uid": uid}
    event = {
        "metadata": {"name": "e"},
        "involvedObject": involved,
        "reason": "FreightCreated",
        "type": "Normal",
    }
    assert server.api.post("/api/v1/namespaces/kargo-demo/events", event).status == 201

    described = kubectl("describe warehouse app -n kargo-demo")

    assert "^1.0.0" in described
    assert "FreightCreated" in described
    assert "kargo-demo" in kubectl("describe namespace kargo-demo")


def test_api_resources_are_listed(kubectl):
    output = kubectl("api-resources")

    for name in ("warehouses", "projectconfigs", "namespaces", "secrets", "leases"):
        assert name in output
    assert "v1.35" in kubectl("version")


def test_auth_can_i_works(kubectl):
    assert kubectl("auth can-i list warehouses -A") == "yes\n"
