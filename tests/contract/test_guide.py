"""The guide `docs/guides/beside.md` on a real API server, with its own commands, from no namespace to the first push.

There is no kubelet, so nothing starts the pods. In their place, kargoweb runs here, with the environment of the chart's
Deployment and a token of its service account.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.apiserver.kubeconfig import write_kubeconfig
from tests.clusters import ROOT, Cluster
from tests.commands.running import run_process
from tests.components import require
from tests.product import Product
from tests.worlds import KargoProject, World, image, push_body

GUIDE = ROOT / "docs" / "guides" / "beside.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


class Guide:
    """The blocks of the guide, in a namespace of the test."""

    def __init__(self, cluster: Cluster, namespace: str, directory: Path) -> None:
        self.namespace = namespace
        self.directory = directory
        self._blocks = BLOCK.findall(GUIDE.read_text())
        self._environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}

    def values(self, *parts: str) -> None:
        """Write `values.yaml` from the blocks that contain these words."""
        blocks = (
            next(text for kind, text in self._blocks if kind == "yaml" and part in text) for part in parts
        )
        text = "\n".join(blocks)
        (self.directory / "values.yaml").write_text(text)

    def run(self, beginning: str) -> None:
        """Run the first command of the guide that begins so."""
        lines = (line for kind, text in self._blocks if kind == "shell" for line in text.splitlines())
        command = next(line for line in lines if line.startswith(beginning))
        command = command.replace("namespace kargoweb", f"namespace {self.namespace}")
        command = command.replace("-n kargoweb", f"-n {self.namespace}").replace(
            "deploy/chart", shlex.quote(str(ROOT / "deploy" / "chart"))
        )
        self.shell(command)

    def shell(self, command: str) -> str:
        """Run a command in the directory of the values; return its output."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str) -> Any:
        """Return an object in the namespace."""
        return json.loads(self.shell(f"kubectl get {kind} {name} -n {self.namespace} -o json"))

    def environment(self) -> dict[str, str]:
        """Return the variables that the kubelet would set in the container of the Deployment."""
        [container] = self.get("deployment", "kargoweb")["spec"]["template"]["spec"]["containers"]
        variables: dict[str, str] = {}
        for source in container["envFrom"]:
            variables |= self.get("configmap", source["configMapRef"]["name"])["data"]
        for variable in container["env"]:
            if "value" in variable:
                variables[variable["name"]] = variable["value"]
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                data = self.get("secret", reference["name"])["data"]
                variables[variable["name"]] = base64.b64decode(data[reference["key"]]).decode()
        return variables

    def service_account(self) -> str:
        """Return a token of the pods' service account."""
        account = self.get("deployment", "kargoweb")["spec"]["template"]["spec"]["serviceAccountName"]
        return self.shell(f"kubectl create token {account} -n {self.namespace}").strip()


@pytest.fixture
def guide(cluster: Cluster, tmp_path: Path) -> Iterator[Guide]:
    """The guide, at its beginning. What it has installed is removed afterwards."""
    if cluster.name == "demo":
        pytest.skip("the demo's API server has only the types that kargoweb uses")
    require("kubectl")
    require("helm")
    assert cluster.api.post("/api/v1/namespaces", {"metadata": {"name": "kargo"}}).status in {201, 409}
    guide = Guide(cluster, f"kargoweb-{secrets.token_hex(4)}", tmp_path)
    try:
        yield guide
    finally:
        with contextlib.suppress(AssertionError):  # nothing was installed
            guide.shell(f"helm uninstall kargoweb -n {guide.namespace}")
        cluster.api.delete(f"/api/v1/namespaces/{guide.namespace}")


@pytest.fixture
def project(cluster: Cluster, namespace: str) -> Iterator[KargoProject]:
    """A project with a receiver, whose URL is published, and a Warehouse."""
    with World(cluster.kubeconfig) as world:
        project = world.bare_project(namespace)
        project.warehouse("app", image("example/repo", constraint="^1.0.0"))
        project.publish("hook")
        yield project


def test_the_first_push_is_in_the_log_after_the_steps_of_the_guide(
    cluster: Cluster, guide: Guide, project: KargoProject, tmp_path: Path
):
    guide.run("kubectl create namespace")
    guide.run("kubectl create secret")
    guide.values("baseUrl:")
    guide.run("helm install")
    with pytest.raises(AssertionError, match="not found"):
        guide.get("ingress", "kargoweb-receivers")

    account = tmp_path / "kubeconfig"
    write_kubeconfig(account, cluster.url, token=guide.service_account(), ca_file=cluster.ca_file or "")
    variables = guide.environment() | {"KARGOWEB_DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": ""}
    kargoweb = Product(account, **variables)
    kargoweb.migrate()
    with kargoweb:
        command = variables | {"KUBECONFIG": str(account), "PORT": str(kargoweb.port)}
        health = run_process("manage.py", "health", "--json", **command)
        assert "cluster_unreadable" not in health.out
        assert json.loads(health.out) is not None
        explained = run_process("manage.py", "explain", project.name, "example/repo:1.2.3", **command)
        assert explained.code == 0, explained.err

        answer = kargoweb.post(project.path("hook"), push_body("example/repo", "1.2.3"))
        assert answer.json() == {"msg": "refreshed 1 warehouse(s)"}
        listed = run_process("manage.py", "deliveries", "list", "--json", **command)
    assert '"example/repo"' in listed.out
    assert answer.headers["X-Kargoweb-Delivery"] in listed.out


def test_one_receiver_moves_then_all_and_back(guide: Guide):
    guide.run("kubectl create namespace")
    guide.values("baseUrl:")
    guide.run("helm install")

    def paths() -> list[str]:
        [rule] = guide.get("ingress", "kargoweb-receivers")["spec"]["rules"]
        return [path["path"] for path in rule["http"]["paths"]]

    values = guide.directory / "values.yaml"
    guide.values("baseUrl:", "ingress:\n  receivers:")
    text = values.read_text().replace("\n\ningress:\n", "\n")  # one block of the guide continues the other
    values.write_text(text)
    guide.run("helm upgrade")
    assert [len(path) for path in paths()] == [len("/dockerhub/") + 64]
    assert guide.get("ingress", "kargoweb")

    values.write_text(re.sub(r"    paths:\n(      - .*\n)+", "", text))
    guide.run("helm upgrade")
    assert paths() == ["/dockerhub/"]

    guide.shell(
        f"helm upgrade kargoweb {ROOT}/deploy/chart -n {guide.namespace} -f values.yaml"
        " --set ingress.receivers.enabled=false"
    )
    with pytest.raises(AssertionError, match="not found"):
        guide.get("ingress", "kargoweb-receivers")
