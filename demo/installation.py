"""Run the API server, the controller and kargoweb as child processes, with example data.

All data is in `<data directory>/demo`, so that the next start continues with it. A lock prevents a second demo there.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

import yaml

from demo.account import USER
from demo.apiserver.kubeconfig import write_kubeconfig
from demo.children import Children
from demo.docker_hub import Webhook, registered_webhooks
from demo.paths import DemoPaths
from demo.registry import IMAGE_INDEX, Registry
from demo.seeding import seed_objects, seed_tags
from kargoweb.configuration import Configuration
from receivers.cluster.client import KubernetesClient, connect
from receivers.kargo import semver
from receivers.kargo.kinds.dockerhub import compose
from receivers.kargo.resources import WAREHOUSES, decode_warehouse

LOOPBACK: Final = "127.0.0.1"
# Seconds until all processes are ready: about two on an idle machine, thirty on a busy one.
START_TIMEOUT: Final = 120.0
# Seconds until the example has a URL and its first discovery. The demo also works without them.
SETTLE_TIMEOUT: Final = 5.0
PROBE_INTERVAL: Final = 0.05  # seconds
CHECK_INTERVAL: Final = 0.25  # seconds between two checks of the child processes

EXAMPLE_PROJECT: Final = "kargo-demo"
EXAMPLE_REPOSITORY: Final = "example/repo"
EXAMPLE_PUSHER: Final = "octocat"


class DemoError(Exception):
    """The demo cannot start. The message is one line with the cause and the fix."""


@dataclass(frozen=True, slots=True)
class Example:
    """A push to try: a receiver, a tag that is in the registry but not announced yet, and the tag after it."""

    receiver: str
    url: str
    tag: str
    next_tag: str


class Installation:
    """The processes and files of the demo."""

    def __init__(self, configuration: Configuration, api_port: int = 0) -> None:
        self.paths = DemoPaths(configuration.data_dir.resolve() / "demo")
        self._configuration = configuration
        self._api_port = api_port
        self._lock = -1
        self._children: Children | None = None

    def reserve(self) -> None:
        """Lock the data directory and check the ports. Raises `DemoError` if a demo is running or a port is in use."""
        self.paths.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"a demo is already running in {self.paths.directory}") from None
        bind, port = self._configuration.bind, self._configuration.port
        if not _is_free(bind, port):
            raise DemoError(f"port {port} is in use; choose another: PORT={port + 1} make run")
        if self._api_port and not _is_free(LOOPBACK, self._api_port):
            raise DemoError(f"port {self._api_port} is in use; choose another --api-port, or omit it")

    def start(self) -> Example | None:
        """Start all processes and wait until they are ready. Return an example push, or None if its receiver is gone.

        Raises `DemoError`, `ChildExited` or `ClusterError`.
        """
        self._children = Children(self.paths)
        registry = Registry(self.paths.registry)
        seed_tags(registry)
        self._start_api_server(self._children)
        cluster = connect(str(self.paths.kubeconfig))
        try:
            seed_objects(cluster)
            self._start_controller(self._children)
            self._start_kargoweb(self._children)
            self._await(self._is_ready, "kargoweb is not ready")
            self._settle(lambda: self._example_webhook(cluster))
            self._settle(lambda: _is_reconciled(cluster))
            return self._example(registry, self._example_webhook(cluster))
        finally:
            cluster.close()

    def wait(self) -> None:
        """Wait forever. Raises `ChildExited` if a process exits."""
        assert self._children is not None  # noqa: S101 - started before
        self._children.print_warnings = True
        while True:
            self._children.check()
            time.sleep(CHECK_INTERVAL)

    def stop(self) -> None:
        """Stop all processes and release the lock."""
        if self._children is not None:
            self._children.stop()
        if self._lock >= 0:
            os.close(self._lock)

    def _start_api_server(self, children: Children) -> None:
        port = self._api_port or _free_port(_previous_port(self.paths))
        output = children.start(
            "apiserver",
            [
                "-m",
                "demo.apiserver",
                "--anonymous-admin",
                "--port",
                str(port),
                "--data",
                str(self.paths.objects),
            ],
            os.environ,
        )
        url = output.readline().strip()  # printed when it accepts connections
        if not url:
            self._await(lambda: False, "the API server is not ready")
        children.listen("apiserver", output)
        write_kubeconfig(self.paths.kubeconfig, url)

    def _start_controller(self, children: Children) -> None:
        files = ["--kubeconfig", str(self.paths.kubeconfig), "--registry", str(self.paths.registry)]
        children.listen(
            "controller", children.start("controller", ["-m", "demo.controller", *files], os.environ)
        )

    def _start_kargoweb(self, children: Children) -> None:
        arguments = ["manage.py", "serve", "--no-migrate"]
        children.listen("kargoweb", children.start("kargoweb", arguments, self._environment()))

    def _environment(self) -> Mapping[str, str]:
        """Return kargoweb's environment: the user's settings plus those that connect it to the demo."""
        password = self.paths.password.read_text(encoding="utf-8").strip()
        inherited = {name: value for name, value in os.environ.items() if name not in _EXCLUDED_VARIABLES}
        return inherited | {
            "KUBECONFIG": str(self.paths.kubeconfig),
            "KARGOWEB_DATA_DIR": str(self._configuration.data_dir.resolve()),
            "KARGOWEB_MANAGE_RECEIVERS": "true",
            "KARGOWEB_CREATE_RECEIVERS": "true",
            "KARGOWEB_EVENTS": "true",
            # The sign-in page shows the password in the demo only; no other code sets this note.
            "KARGOWEB_SIGN_IN_NOTE": f"This is the demo: sign in as {USER} with the password {password}",
        }

    def _is_ready(self) -> bool:
        bind = self._configuration.bind
        host = LOOPBACK if bind in {"0.0.0.0", "::", ""} else bind  # noqa: S104 - compared, not bound
        connection = HTTPConnection(host, self._configuration.port, timeout=START_TIMEOUT)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _example_webhook(self, cluster: KubernetesClient) -> Webhook | None:
        """Return the webhook of the example project at the current base URL, or None."""
        return next(
            (
                webhook
                for webhook in registered_webhooks(cluster, [EXAMPLE_PROJECT])
                if webhook.receiver.startswith(f"{EXAMPLE_PROJECT}/")
                and webhook.url.startswith(f"{self._configuration.base_url}/")
            ),
            None,
        )

    def _example(self, registry: Registry, webhook: Webhook | None) -> Example | None:
        """Add a new tag to the registry and write the webhook body that announces it. Return both as an example."""
        if webhook is None:
            return None
        tag, next_tag = _next_patches(registry)
        registry.put(EXAMPLE_REPOSITORY, tag)
        self.paths.push_body.write_bytes(
            compose(
                EXAMPLE_REPOSITORY,
                tag,
                media_type=IMAGE_INDEX,
                pusher=EXAMPLE_PUSHER,
                pushed_at=int(time.time()),
            )
        )
        return Example(webhook.receiver, webhook.url, tag, next_tag)

    def _settle(self, condition: Callable[[], object]) -> None:
        """Wait up to `SETTLE_TIMEOUT` for a condition, which may never hold if the user has changed the example."""
        self._wait_for(condition, SETTLE_TIMEOUT)

    def _await(self, condition: Callable[[], object], problem: str) -> None:
        if not self._wait_for(condition, START_TIMEOUT):
            raise DemoError(f"{problem} after {START_TIMEOUT:.0f} s; see the logs in {self.paths.directory}")

    def _wait_for(self, condition: Callable[[], object], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._children is not None:
                self._children.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(PROBE_INTERVAL)
        return True


# They would select another cluster, or only part of the demo's.
_EXCLUDED_VARIABLES: Final = frozenset(
    {"KARGOWEB_KUBE_CONTEXT", "KARGOWEB_NAMESPACES", "KARGOWEB_SYSTEM_NAMESPACE"}
)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(preferred: int) -> int:
    """Return the preferred port if it is free, otherwise 0, which makes the API server choose one."""
    return preferred if preferred and _is_free(LOOPBACK, preferred) else 0


def _previous_port(paths: DemoPaths) -> int:
    """Return the port in the kubeconfig, or 0. Reusing it keeps copies of the kubeconfig valid."""
    try:
        config = yaml.safe_load(paths.kubeconfig.read_text(encoding="utf-8"))
        return urlsplit(config["clusters"][0]["cluster"]["server"]).port or 0
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError):
        return 0


def _is_reconciled(cluster: KubernetesClient) -> bool:
    """Return whether the controller has reconciled the example's Warehouses, so that the next tag is new to it."""
    return all(
        warehouse.conditions or warehouse.shard
        for page in cluster.list_pages(WAREHOUSES, EXAMPLE_PROJECT, item=decode_warehouse)
        for warehouse in page.items
    )


def _next_patches(registry: Registry) -> tuple[str, str]:
    """Return the two patch versions after the newest version of the example repository."""
    parsed = (semver.parse_tag(tag.name, strict=True) for tag in registry.tags(EXAMPLE_REPOSITORY))
    versions = sorted(
        (version for version in parsed if version and not version.pre and version.major == 1),
        key=semver.order,
    )
    newest = versions[-1] if versions else semver.Version(1, 0, 0)
    start = f"{newest.major}.{newest.minor}"
    return f"{start}.{newest.patch + 1}", f"{start}.{newest.patch + 2}"
