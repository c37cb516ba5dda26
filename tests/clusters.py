"""Clusters that tests run against: the demo's API server here, real ones in `real_cluster`.

with DemoCluster(tmp_path) as cluster:
    cluster.api.post("/api/v1/namespaces", {"metadata": {"name": "x"}})
"""

from __future__ import annotations

import json
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
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds that anything here may take before a test gives up; never a time that is measured

READ = ["get", "list", "watch"]
KARGO = ["projects", "projectconfigs", "clusterconfigs", "warehouses", "freights"]

# What the roles may do, in the terms of the demo's token file. The real clusters get the same as RBAC.
ROLES: dict[str, list[dict[str, list[str]]]] = {
    "admin": [{"verbs": ["*"], "resources": ["*"]}],
    # kargoweb where Kargo manages the receivers
    "kargoweb": [
        {"verbs": READ, "resources": [*KARGO, "namespaces"]},
        {"verbs": ["patch"], "resources": ["warehouses"]},
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


T = TypeVar("T")


def until(what: str, probe: Callable[[], T | None]) -> T:
    """Call `probe` until it returns something true, and return that; fail after `PATIENCE` seconds."""
    deadline = monotonic() + PATIENCE
    while not (found := probe()):
        if monotonic() > deadline:
            raise AssertionError(f"timed out waiting until {what}")
        sleep(0.02)
    return found


class Cluster(Protocol):
    """What every cluster here can do."""

    name: str
    url: str
    ca_file: str | None

    @property
    def api(self) -> ApiClient:
        """Return raw HTTP as the admin."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """Return a kubeconfig file of the admin."""
        ...

    def token(self, role: str) -> str:
        """Return the bearer token of a role in `ROLES`."""
        ...

    def client(self, role: str) -> ApiClient:
        """Return raw HTTP as that role, or without a token if the role is empty."""
        ...

    def kubeconfig_for(self, role: str) -> Path:
        """Return a kubeconfig file of that role."""
        ...


class DemoCluster:
    """The demo's API server as a process of its own, with its files in `directory`."""

    name: str = "demo"
    ca_file: str | None = None

    def __init__(
        self,
        directory: Path,
        *,
        faults: bool = True,
        anonymous_admin: bool = False,
        kargo: bool = True,
        options: tuple[str, ...] = (),
    ) -> None:
        self.url = ""
        self._directory = directory
        self._tokens = {role: secrets.token_urlsafe(16) for role in ROLES}
        self._port = free_port()
        flags = {"--faults": faults, "--anonymous-admin": anonymous_admin, "--no-kargo": not kargo}
        self._options = [*(flag for flag, wanted in flags.items() if wanted), *options]
        self._process: subprocess.Popen[str] | None = None
        self._clients: dict[str, ApiClient] = {}

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write_tokens(self._tokens)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for client in self._clients.values():
            client.close()

    def start(self) -> None:
        """Start the server; restarted, it has the same port and the same data."""
        files = {"--data": self._directory / "state.jsonl", "--token-file": self._directory / "tokens.json"}
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
        with (self._directory / "log").open("a") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as output:
            self.url = output.readline().strip()
        if not self.url:
            self._process.wait()
            raise AssertionError((self._directory / "log").read_text())

    def stop(self) -> None:
        """Stop the server as an orderly shutdown does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server where it stands."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def api(self) -> ApiClient:
        """Return raw HTTP as the admin."""
        return self.client("admin")

    @property
    def kubeconfig(self) -> Path:
        """Return a kubeconfig file of the admin; kubectl needs `anonymous_admin`, for it sends no token over http."""
        return self.kubeconfig_for("admin")

    def token(self, role: str) -> str:
        """Return the bearer token of a role in `ROLES`."""
        return self._tokens[role]

    def client(self, role: str) -> ApiClient:
        """Return raw HTTP as that role, or without a token if the role is empty."""
        if role not in self._clients:
            self._clients[role] = ApiClient(self.url, token=self._tokens.get(role, ""))
        return self._clients[role]

    def kubeconfig_for(self, role: str) -> Path:
        """Return a kubeconfig file of that role."""
        path = self._directory / f"kubeconfig-{role}"
        write_kubeconfig(path, self.url, token=self._tokens[role])
        return path

    def revoke(self, role: str) -> None:
        """Let the server forget a role's token: it is answered 401 from now on."""
        self._reload({name: token for name, token in self._tokens.items() if name != role})

    def renew(self, role: str) -> str:
        """Give a role a new token, which alone is valid from now on, and return it."""
        self._clients.pop(role, ApiClient(self.url)).close()
        self._tokens[role] = secrets.token_urlsafe(16)
        self._reload(self._tokens)
        return self._tokens[role]

    def grant(self, role: str, rules: list[dict[str, list[str]]]) -> None:
        """Let a role do what `rules` say, in the terms of the token file, and nothing else."""
        self._reload(self._tokens, {**ROLES, role: rules})

    def _write_tokens(self, tokens: Mapping[str, str], roles: Mapping[str, Any] = ROLES) -> None:
        users = {token: {"user": role, "rules": roles[role]} for role, token in tokens.items()}
        (self._directory / "tokens.json").write_text(json.dumps({"tokens": users}))

    def _reload(self, tokens: Mapping[str, str], roles: Mapping[str, Any] = ROLES) -> None:
        self._write_tokens(tokens, roles)
        assert self._process is not None
        before = self.api.get("/faults/log").body["reloads"]
        self._process.send_signal(signal.SIGHUP)
        until("the tokens are read again", lambda: self.api.get("/faults/log").body["reloads"] > before)

    def faults(self, *rules: dict[str, Any], **more: Any) -> None:
        """Replace the fault rules (see `demo.apiserver.faults`); without arguments nothing fails any more."""
        answer = self.api.put("/faults", {"rules": list(rules), **more})
        assert answer.status == 200, answer.data

    def fault_log(self) -> dict[str, Any]:
        """Return the counters and the recorded patches."""
        log: dict[str, Any] = self.api.get("/faults/log").body
        return log
