"""Real Kubernetes API servers, which verify that the demo's API server behaves like them.

`LocalCluster` starts etcd and kube-apiserver from the directory in `KUBEBUILDER_ASSETS`, as envtest does.
`GivenCluster` uses the cluster of the kubeconfig in `KARGOWEB_TEST_KUBECONFIG`. Both install Kargo's resource types if
they are missing, and remove at the end everything they created.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

import urllib3
from kubernetes import config
from kubernetes.client import Configuration

from demo.apiserver.kargo_types import GROUP, kargo_definitions
from tests.api_client import ApiClient
from tests.clusters import PATIENCE, ROLES, RoleClients, Rules, until
from tests.ports import free_port

NOT_CONFIGURED = (
    "NOT run against a real API server: set KUBEBUILDER_ASSETS or KARGOWEB_TEST_KUBECONFIG (see CONTRIBUTING)"
)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC_GROUP = "rbac.authorization.k8s.io"
EVERY_PATH = {"nonResourceURLs": ["*"], "verbs": ["*"]}
RBAC = f"{RBAC_GROUP}/v1"

# An ECPrivateKey (RFC 5915) on P-256 without its public half, which Go works out: before and after the 32 bytes.
_KEY_HEAD = bytes.fromhex("30310201010420")
_KEY_TAIL = bytes.fromhex("a00a06082a8648ce3d030107")


def _write_service_account_key(path: Path) -> None:
    """Write a private key for service account tokens, which kube-apiserver insists on."""
    der = base64.encodebytes(_KEY_HEAD + secrets.token_bytes(32) + _KEY_TAIL).decode()
    path.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{der}-----END EC PRIVATE KEY-----\n")


def _policy_rule(rule: dict[str, list[str]]) -> dict[str, Any]:
    """Convert a rule of the token file to an RBAC PolicyRule."""
    return {"apiGroups": ["*"], "resources": rule["resources"], "verbs": rule["verbs"]}


class RealCluster(RoleClients):
    """Base of local and given clusters: a service account with a token for each role."""

    name: str = "real"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._own = f"kargoweb-test-{secrets.token_hex(4)}"  # the name of every object created here
        self._created: list[str] = []
        self._allowed: list[str] = []

    def furnish(self, admin: ApiClient) -> None:
        """Install the missing resource types of Kargo and create the roles."""
        self._install_kargo_types(admin)
        self._create(admin, "/api/v1/namespaces", {"metadata": {"name": self._own}})
        for role, given in ROLES.items():
            rules = [*map(_policy_rule, given), *([EVERY_PATH] if role == "admin" else [])]
            self._tokens[role] = self._make_role(admin, role, rules)
        until(
            "the roles are in force", lambda: self.client("manager").get("/api/v1/namespaces").status == 200
        )

    def _create(self, admin: ApiClient, collection: str, body: dict[str, Any]) -> None:
        answer = admin.post(collection, body)
        assert answer.status == 201, answer.data
        self._created.append(f"{collection}/{body['metadata']['name']}")

    def _install_kargo_types(self, admin: ApiClient) -> None:
        installed = {item["metadata"]["name"] for item in admin.get(CRDS).body["items"]}
        definitions = kargo_definitions()
        for definition in definitions:
            if definition["metadata"]["name"] not in installed:
                self._create(admin, CRDS, definition)
        for plural in (definition["spec"]["names"]["plural"] for definition in definitions):
            path = f"/apis/{GROUP}/v1alpha1/{plural}"
            until(f"{plural} are served", lambda path=path: admin.get(path).status == 200)  # type: ignore[misc]  # the default argument

    def _make_role(self, admin: ApiClient, role: str, rules: list[dict[str, Any]]) -> str:
        """Create a service account with these permissions; return its token."""
        accounts = f"/api/v1/namespaces/{self._own}/serviceaccounts"
        self._create(admin, accounts, {"metadata": {"name": role}})
        named = {"apiVersion": RBAC, "metadata": {"name": f"{self._own}-{role}"}}
        self._create(admin, f"/apis/{RBAC}/clusterroles", {**named, "kind": "ClusterRole", "rules": rules})
        binding = {
            **named,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": f"{self._own}-{role}"},
            "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": self._own}],
        }
        self._create(admin, f"/apis/{RBAC}/clusterrolebindings", binding)
        answer = admin.post(f"{accounts}/{role}/token", {"spec": {"expirationSeconds": 4 * 3600}})
        assert answer.status == 201, answer.data
        return str(answer.body["status"]["token"])

    def allow(self, *, users: Rules | None = None, groups: Rules | None = None) -> None:
        """Replace what people and groups may do, by name, in the format of the token file."""
        while self._allowed:
            assert self.api.delete(self._allowed.pop()).status in {200, 404}  # with its namespace
        for kind, subjects in (("User", users or {}), ("Group", groups or {})):
            for name, rules in subjects.items():
                for rule in rules:
                    for namespace in rule.get("namespaces", [""]):
                        self._allow({"apiGroup": RBAC_GROUP, "kind": kind, "name": name}, rule, namespace)

    def _allow(self, subject: dict[str, str], rule: dict[str, list[str]], namespace: str) -> None:
        """Create a role and its binding, in a namespace or for the cluster."""
        prefix = "" if namespace else "Cluster"
        root = f"/apis/{RBAC}/namespaces/{namespace}" if namespace else f"/apis/{RBAC}"
        name = f"{self._own}-{secrets.token_hex(4)}"
        named = {"apiVersion": RBAC, "metadata": {"name": name}}
        role = {**named, "kind": f"{prefix}Role", "rules": [_policy_rule(rule)]}
        reference = {"apiGroup": RBAC_GROUP, "kind": role["kind"], "name": name}
        binding = {**named, "kind": f"{prefix}RoleBinding", "roleRef": reference, "subjects": [subject]}
        for collection, body in ((f"{prefix}Roles", role), (f"{prefix}RoleBindings", binding)):
            path = f"{root}/{collection.lower()}"
            answer = self.api.post(path, body)
            assert answer.status == 201, answer.data
            self._allowed.append(f"{path}/{name}")

    def clean_up(self, admin: ApiClient) -> None:
        """Delete the created objects in reverse order and close the connections."""
        self.allow()
        for path in reversed(self._created):
            admin.delete(path)
        for client in (*self._clients.values(), admin):
            client.close()


class LocalCluster(RealCluster):
    """Private etcd and kube-apiserver processes on free ports, with RBAC and a token for each role."""

    def __init__(self, assets: Path, directory: Path) -> None:
        super().__init__(directory)
        self._assets = assets
        self._processes: list[subprocess.Popen[bytes]] = []
        self.etcd_url = f"http://127.0.0.1:{free_port()}"
        self.url = f"https://127.0.0.1:{free_port()}"
        self.ca_file = str(directory / "certificates" / "apiserver.crt")  # generated by the server
        self._token = secrets.token_urlsafe(16)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.clean_up(self._admin)
        self._stop()

    def suspend(self) -> None:
        """Let kube-apiserver hang: its connections stay open, and it accepts others, but it sends nothing."""
        self._processes[-1].send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `suspend`."""
        self._processes[-1].send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill kube-apiserver with SIGKILL. etcd still runs."""
        process = self._processes.pop()
        process.kill()
        process.wait()

    def start(self) -> None:
        """Start kube-apiserver after `kill`, with the same address and data."""
        self._run("kube-apiserver", self._apiserver_flags())
        until("kube-apiserver is ready", self._ready)

    def _start(self) -> None:
        (self.directory / "tokens.csv").write_text(f'{self._token},first,first,"system:masters"\n')
        _write_service_account_key(self.directory / "service-accounts.key")
        self._run("etcd", self._etcd_flags())
        self._run("kube-apiserver", self._apiserver_flags())
        until("kube-apiserver generates its certificate", self._has_certificate)
        self._admin = ApiClient(self.url, token=self._token, ca_file=self.ca_file)
        until("kube-apiserver is ready", self._ready)
        self.furnish(self._admin)

    def _etcd_flags(self) -> dict[str, object]:
        peer = f"http://127.0.0.1:{free_port()}"
        return {
            "data-dir": self.directory / "etcd",
            "listen-client-urls": self.etcd_url,
            "advertise-client-urls": self.etcd_url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
        }

    def _apiserver_flags(self) -> dict[str, object]:
        key = self.directory / "service-accounts.key"
        return {
            "etcd-servers": self.etcd_url,
            "bind-address": "127.0.0.1",
            "secure-port": self.url.rpartition(":")[2],
            "cert-dir": self.directory / "certificates",
            "token-auth-file": self.directory / "tokens.csv",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.0.0.0/24",
            "disable-admission-plugins": "ServiceAccount",
            "watch-cache": "true",
        }

    def _run(self, program: str, flags: dict[str, object]) -> None:
        command = [str(self._assets / program), *(f"--{name}={value}" for name, value in flags.items())]
        with (self.directory / f"{program}.log").open("ab") as log:
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _has_certificate(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"{process.args!r} ended: see the logs in {self.directory}"
        return Path(self.ca_file or "").exists()

    def _ready(self) -> bool:
        try:
            return self._admin.get("/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class GivenCluster(RealCluster):
    """The cluster of a kubeconfig's current context. The user must be a cluster admin."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        super().__init__(directory)
        self._given = Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=self._given)
        self.url = self._given.host
        self.ca_file = self._given.ssl_ca_cert

    def __enter__(self) -> Self:
        token = (self._given.get_api_key_with_prefix("BearerToken", "authorization") or "").removeprefix(
            "Bearer "
        )
        files = self._given.cert_file, self._given.key_file
        certificate = (files[0], files[1]) if files[0] and files[1] else None
        self._admin = ApiClient(self.url, token=token, ca_file=self.ca_file, certificate=certificate)
        self.furnish(self._admin)
        return self

    def __exit__(self, *_: object) -> None:
        self.clean_up(self._admin)


def given_cluster_configured() -> bool:
    """Return whether the environment names a cluster that runs already."""
    return bool(os.environ.get("KARGOWEB_TEST_KUBECONFIG"))


def real_cluster_configured() -> bool:
    """Return whether the environment names a real cluster, or the programs to start one."""
    return given_cluster_configured() or bool(os.environ.get("KUBEBUILDER_ASSETS"))


def real_cluster(directory: Path) -> LocalCluster | GivenCluster:
    """Return the real cluster that the environment names. It is not started yet."""
    if given := os.environ.get("KARGOWEB_TEST_KUBECONFIG"):
        return GivenCluster(Path(given), directory)
    return LocalCluster(Path(os.environ["KUBEBUILDER_ASSETS"]), directory)
