"""Puts the demo together: the API server, the controller and kargoweb as child processes, filled with examples."""

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
from demo.docker_hub import Webhook, registered
from demo.places import Places
from demo.registry import IMAGE_INDEX, Registry
from demo.seeding import seed_objects, seed_tags
from kargoweb.configuration import Configuration
from receivers.cluster.client import KubernetesClient, connect
from receivers.kargo import semver
from receivers.kargo.kinds.dockerhub import compose
from receivers.kargo.resources import WAREHOUSES, decode_warehouse

LOOPBACK: Final = "127.0.0.1"
# Seconds for everything to be up; a busy machine takes half a minute, an idle one two seconds.
PATIENCE: Final = 120.0
SETTLING: Final = 5.0  # seconds for the example's URL and first discovery; the demo is of use without them
PROBE_PAUSE: Final = 0.05  # seconds
WATCH_PAUSE: Final = 0.25  # seconds between two looks at the children

EXAMPLE_PROJECT: Final = "kargo-demo"
EXAMPLE_REPOSITORY: Final = "example/repo"
EXAMPLE_PUSHER: Final = "octocat"


class DemoError(Exception):
    """The demo cannot be started; one line that says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What to try first: a receiver, a tag that waits in the registry to be announced to it, and the tag after that."""

    receiver: str
    url: str
    tag: str
    next_tag: str


class Installation:
    """Everything that the demo consists of."""

    def __init__(self, configuration: Configuration, api_port: int = 0) -> None:
        self.places = Places(configuration.data_dir.resolve() / "demo")
        self._configuration = configuration
        self._api_port = api_port
        self._lock = -1
        self._children: Children | None = None

    def reserve(self) -> None:
        """See to it that nobody else runs a demo here or listens on our ports. Raises `DemoError`."""
        self.places.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"a demo is running already in {self.places.directory}") from None
        bind, port = self._configuration.bind, self._configuration.port
        if not _is_free(bind, port):
            raise DemoError(f"port {port} is in use; take another one: PORT={port + 1} make run")
        if self._api_port and not _is_free(LOOPBACK, self._api_port):
            raise DemoError(f"port {self._api_port} is in use; take another one with --api-port, or none")

    def start(self) -> Offer | None:
        """Start all of it and wait until it serves; return what to try, if that is still there.

        Raises `DemoError`, `ChildEnded` or `ClusterError`.
        """
        self._children = Children(self.places)
        registry = Registry(self.places.registry)
        seed_tags(registry)
        self._start_api_server(self._children)
        cluster = connect(str(self.places.kubeconfig))
        try:
            seed_objects(cluster)
            self._start_controller(self._children)
            self._start_kargoweb(self._children)
            self._await(self._is_ready, "kargoweb is not ready")
            self._settle(lambda: self._published(cluster))
            self._settle(lambda: _is_looked_at(cluster))
            return self._offer(registry, self._published(cluster))
        finally:
            cluster.close()

    def wait(self) -> None:
        """Wait for ever. Raises `ChildEnded` when one of the parts does not go on."""
        assert self._children is not None  # noqa: S101 - started before
        self._children.audible = True
        while True:
            self._children.check()
            time.sleep(WATCH_PAUSE)

    def end(self) -> None:
        """End all of it."""
        if self._children is not None:
            self._children.end()
        if self._lock >= 0:
            os.close(self._lock)

    def _start_api_server(self, children: Children) -> None:
        port = self._api_port or _free_port(_port_of_last_time(self.places))
        output = children.start(
            "apiserver",
            [
                "-m",
                "demo.apiserver",
                "--anonymous-admin",
                "--port",
                str(port),
                "--data",
                str(self.places.objects),
            ],
            os.environ,
        )
        url = output.readline().strip()  # printed as soon as it serves
        if not url:
            self._await(lambda: False, "the API server is not ready")
        children.listen("apiserver", output)
        write_kubeconfig(self.places.kubeconfig, url)

    def _start_controller(self, children: Children) -> None:
        files = ["--kubeconfig", str(self.places.kubeconfig), "--registry", str(self.places.registry)]
        children.listen(
            "controller", children.start("controller", ["-m", "demo.controller", *files], os.environ)
        )

    def _start_kargoweb(self, children: Children) -> None:
        arguments = ["manage.py", "serve", "--no-migrate"]
        children.listen("kargoweb", children.start("kargoweb", arguments, self._environment()))

    def _environment(self) -> Mapping[str, str]:
        """Return kargoweb's environment: what the user has set, and what ties it to the demo."""
        password = self.places.password.read_text(encoding="utf-8").strip()
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_DEMO}
        return kept | {
            "KUBECONFIG": str(self.places.kubeconfig),
            "KARGOWEB_DATA_DIR": str(self._configuration.data_dir.resolve()),
            "KARGOWEB_MANAGE_RECEIVERS": "true",
            # Nobody but the demo tells a password: whoever deploys kargoweb would have to write it there himself.
            "KARGOWEB_SIGN_IN_NOTE": f"This is the demo: sign in as {USER} with the password {password}",
        }

    def _is_ready(self) -> bool:
        bind = self._configuration.bind
        host = LOOPBACK if bind in {"0.0.0.0", "::", ""} else bind  # noqa: S104 - compared, not bound
        connection = HTTPConnection(host, self._configuration.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _published(self, cluster: KubernetesClient) -> Webhook | None:
        """Return the example project's webhook at the address of this start."""
        return next(
            (
                webhook
                for webhook in registered(cluster, [EXAMPLE_PROJECT])
                if webhook.receiver.startswith(f"{EXAMPLE_PROJECT}/")
                and webhook.url.startswith(f"{self._configuration.base_url}/")
            ),
            None,
        )

    def _offer(self, registry: Registry, webhook: Webhook | None) -> Offer | None:
        """Push a new tag that nobody has announced yet, and write the body that announces it."""
        if webhook is None:
            return None
        tag, next_tag = _next_patches(registry)
        registry.put(EXAMPLE_REPOSITORY, tag)
        self.places.push_body.write_bytes(
            compose(
                EXAMPLE_REPOSITORY,
                tag,
                media_type=IMAGE_INDEX,
                pusher=EXAMPLE_PUSHER,
                pushed_at=int(time.time()),
            )
        )
        return Offer(webhook.receiver, webhook.url, tag, next_tag)

    def _settle(self, condition: Callable[[], object]) -> None:
        """Wait for `condition`, but not for ever: somebody may have changed what it is about."""
        self._wait_for(condition, SETTLING)

    def _await(self, condition: Callable[[], object], problem: str) -> None:
        if not self._wait_for(condition, PATIENCE):
            raise DemoError(f"{problem} after {PATIENCE:.0f} s; what it said is in {self.places.directory}")

    def _wait_for(self, condition: Callable[[], object], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._children is not None:
                self._children.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(PROBE_PAUSE)
        return True


# These would point kargoweb to another cluster, or to a part of the demo's.
_NOT_FOR_THE_DEMO: Final = frozenset(
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


def _free_port(wanted: int) -> int:
    """Return the wanted port if it is free, else 0, with which the API server takes one that is."""
    return wanted if wanted and _is_free(LOOPBACK, wanted) else 0


def _port_of_last_time(places: Places) -> int:
    """Return the port in the kubeconfig, so that one that somebody has copied stays good; 0 if there is none."""
    try:
        config = yaml.safe_load(places.kubeconfig.read_text(encoding="utf-8"))
        return urlsplit(config["clusters"][0]["cluster"]["server"]).port or 0
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError):
        return 0


def _is_looked_at(cluster: KubernetesClient) -> bool:
    """Say whether the controller has looked at the example's Warehouses, so that what comes now is news to it."""
    return all(
        warehouse.conditions or warehouse.shard
        for page in cluster.list_pages(WAREHOUSES, EXAMPLE_PROJECT, item=decode_warehouse)
        for warehouse in page.items
    )


def _next_patches(registry: Registry) -> tuple[str, str]:
    """Return the two versions after the newest one of the example repository."""
    found = (semver.parse_tag(tag.name, strict=True) for tag in registry.tags(EXAMPLE_REPOSITORY))
    versions = sorted((one for one in found if one and not one.pre and one.major == 1), key=semver.order)
    newest = versions[-1] if versions else semver.Version(1, 0, 0)
    start = f"{newest.major}.{newest.minor}"
    return f"{start}.{newest.patch + 1}", f"{start}.{newest.patch + 2}"
