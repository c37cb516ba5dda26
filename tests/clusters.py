"""Clusters for tests: the demo's API server. Real clusters are in `real_cluster`.

with DemoCluster(tmp_path) as cluster:
    cluster.api.post("/api/v1/namespaces", {"metadata": {"name": "x"}})
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol, Self, TypeVar

from demo.apiserver.kubeconfig import write_kubeconfig
from tests.api_client import ApiClient
from tests.certificates import CA, SERVER
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds until a test that waits for anything fails; no test measures this time

READ = ["get", "list", "watch"]
KARGO = ["projects", "projectconfigs", "clusterconfigs", "warehouses", "freights", "stages", "promotions"]

# The permissions of the roles, in the format of the demo's token file. Real clusters get the same as RBAC.
ROLES: dict[str, list[dict[str, list[str]]]] = {
    "admin": [{"verbs": ["*"], "resources": ["*"]}],
    # kargoweb where Kargo manages the receivers
    "kargoweb": [
        {"verbs": READ, "resources": [*KARGO, "namespaces"]},
        {"verbs": ["patch"], "resources": ["warehouses"]},
    ],
    # kargoweb where Kubernetes decides about its users
    "reviewer": [
        {"verbs": READ, "resources": [*KARGO, "namespaces"]},
        {"verbs": ["patch"], "resources": ["warehouses"]},
        {"verbs": ["create"], "resources": ["subjectaccessreviews"]},
    ],
    # kargoweb where it manages the receivers itself
    "manager": [
        {"verbs": READ, "resources": [*KARGO, "namespaces"]},
        {"verbs": ["patch"], "resources": ["warehouses"]},
        {"verbs": ["get"], "resources": ["secrets"]},
        {
            "verbs": ["patch", "update"],
            "resources": [
                "projectconfigs",
                "clusterconfigs",
                "projectconfigs/status",
                "clusterconfigs/status",
            ],
        },
    ],
    "nobody": [],
}

Rules = Mapping[str, list[dict[str, list[str]]]]
T = TypeVar("T")


def until(condition: str, probe: Callable[[], T | None]) -> T:
    """Call `probe` until it returns a true value, and return that; fail after `PATIENCE` seconds.

    The pause grows, because a test that calls a busy server often makes it slower.
    """
    deadline, pause = monotonic() + PATIENCE, 0.01
    while not (result := probe()):
        if monotonic() > deadline:
            raise AssertionError(f"timed out waiting until {condition}")
        sleep(pause)
        pause = min(1.3 * pause, 0.1)
    return result


class Cluster(Protocol):
    """The interface of every cluster."""

    name: str
    url: str
    ca_file: str | None

    @property
    def api(self) -> ApiClient:
        """Return a client that sends raw HTTP requests as the admin."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """Return a kubeconfig file of the admin."""
        ...

    def token(self, role: str) -> str:
        """Return the bearer token of a role in `ROLES`."""
        ...

    def client(self, role: str) -> ApiClient:
        """Return a client that sends raw HTTP requests as that role, or without a token if it is empty."""
        ...

    def kubeconfig_for(self, role: str) -> Path:
        """Return a kubeconfig file of that role."""
        ...

    def allow(self, *, users: Rules | None = None, groups: Rules | None = None) -> None:
        """Replace what people and groups may do, by name, in the format of the token file."""
        ...


class RoleClients:
    """Clients and kubeconfig files of a cluster in which each role has a token."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = ""
        self.ca_file: str | None = None
        self._tokens: dict[str, str] = {}
        self._clients: dict[str, ApiClient] = {}

    @property
    def api(self) -> ApiClient:
        """Return a client that sends raw HTTP requests as the admin."""
        return self.client("admin")

    @property
    def kubeconfig(self) -> Path:
        """Return a kubeconfig file of the admin; kubectl needs `anonymous_admin`, since it sends no token over HTTP."""
        return self.kubeconfig_for("admin")

    def token(self, role: str) -> str:
        """Return the bearer token of a role in `ROLES`."""
        return self._tokens[role]

    def client(self, role: str) -> ApiClient:
        """Return a client that sends raw HTTP requests as that role, or without a token if it is empty."""
        if role not in self._clients:
            token = self._tokens.get(role, "")
            self._clients[role] = ApiClient(self.url, token=token, ca_file=self.ca_file)
        return self._clients[role]

    def kubeconfig_for(self, role: str) -> Path:
        """Return a kubeconfig file of that role."""
        path = self.directory / f"kubeconfig-{role}"
        write_kubeconfig(path, self.url, token=self._tokens[role], ca_file=self.ca_file or "")
        return path


class DemoCluster(RoleClients):
    """The demo's API server as a separate process, with its files in `directory`."""

    name: str = "demo"

    def __init__(
        self,
        directory: Path,
        *,
        faults: bool = True,
        anonymous_admin: bool = False,
        kargo: bool = True,
        tls: bool = False,
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__(directory)
        self._tokens = {role: secrets.token_urlsafe(16) for role in ROLES}
        self._port = free_port()
        flags = {"--faults": faults, "--anonymous-admin": anonymous_admin, "--no-kargo": not kargo}
        certificate = ["--certificate", str(SERVER)] if tls else []
        self._options = [*(flag for flag, enabled in flags.items() if enabled), *certificate, *options]
        self.ca_file = str(CA) if tls else None
        self._process: subprocess.Popen[str] | None = None
        self._subjects: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_tokens(self._tokens)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for client in self._clients.values():
            client.close()

    def start(self) -> None:
        """Start the server. After a restart it has the same port and the same data."""
        files = {"--data": self.directory / "state.jsonl", "--token-file": self.directory / "tokens.json"}
        arguments = [text for flag, path in files.items() for text in (flag, str(path))]
        command = [
            sys.executable,
            "-m",
            "demo.apiserver",
            "--port",
            str(self._port),
            *arguments,
            *self._options,
        ]
        with (self.directory / "log").open("a") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            self.url = output.readline().strip()
        if not self.url:
            self._process.wait()
            raise AssertionError((self.directory / "log").read_text())

    def stop(self) -> None:
        """Stop the server with SIGTERM."""
        self._terminate(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self._terminate(signal.SIGKILL)

    def suspend(self) -> None:
        """Let the server hang: its connections stay open, and it accepts others, but it sends nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End `suspend`."""
        os.kill(self.pid, signal.SIGCONT)

    def _terminate(self, with_signal: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait(PATIENCE)
            self._process = None

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def revoke(self, role: str) -> None:
        """Revoke a role's token: the server responds with 401 to it from now on."""
        self._reload({name: token for name, token in self._tokens.items() if name != role})

    def renew(self, role: str) -> str:
        """Replace a role's token, and return the new one."""
        self._clients.pop(role, ApiClient(self.url)).close()
        self._tokens[role] = secrets.token_urlsafe(16)
        self._reload(self._tokens)
        return self._tokens[role]

    def grant(self, role: str, rules: list[dict[str, list[str]]]) -> None:
        """Replace a role's permissions by `rules`, in the format of the token file."""
        self._reload(self._tokens, {**ROLES, role: rules})

    def allow(self, *, users: Rules | None = None, groups: Rules | None = None) -> None:
        """Replace what people and groups may do, by name, in the format of the token file."""
        self._subjects = {"users": users or {}, "groups": groups or {}}
        self._reload(self._tokens)

    def _write_tokens(self, tokens: Mapping[str, str], roles: Mapping[str, Any] = ROLES) -> None:
        users = {token: {"user": role, "rules": roles[role]} for role, token in tokens.items()}
        content = {"tokens": users, "subjects": self._subjects}
        (self.directory / "tokens.json").write_text(json.dumps(content))

    def _reload(self, tokens: Mapping[str, str], roles: Mapping[str, Any] = ROLES) -> None:
        self._write_tokens(tokens, roles)
        assert self._process is not None
        before = self.api.get("/faults/log").body["reloads"]
        self._process.send_signal(signal.SIGHUP)
        until(
            "the server has reloaded the tokens", lambda: self.api.get("/faults/log").body["reloads"] > before
        )

    def faults(self, *rules: dict[str, Any], **options: Any) -> None:
        """Replace the fault rules (see `demo.apiserver.faults`); without arguments, nothing fails."""
        response = self.api.put("/faults", {"rules": list(rules), **options})
        assert response.status == 200, response.data

    def fault_log(self) -> dict[str, Any]:
        """Return the counters and the recorded patches."""
        log: dict[str, Any] = self.api.get("/faults/log").body
        return log

    def recorded_patches(self, *namespaces: str) -> list[dict[str, Any]]:
        """Return the recorded patches of objects in these namespaces, in the order of their arrival.

        Patches that do not change the recorded annotation are left out.
        """
        patches = self.fault_log()["patches"]
        return [patch for patch in patches if patch["value"] and patch["namespace"] in namespaces]
