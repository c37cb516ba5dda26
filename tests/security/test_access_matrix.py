"""The access matrix: every address and method, for every role by every source.

The tables are in `access_matrix`, and who calls in `callers`. An address without a row fails the test.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from receivers.accounts import access, tokens
from receivers.kargo.resources import CLUSTER_CONFIGS
from receivers.models import AlertChannel, Audit, Delivery, SavedView, TokenScope
from receivers.ops import runtime
from tests.clusters import PATIENCE, DemoCluster
from tests.deliveries.rows import failed_delivery, store, unique_name
from tests.security.access_matrix import API, NO_METHOD, NOT_ALLOWED, PAGES, VIEWER, WITHOUT_CSRF, Rule
from tests.security.callers import (
    Caller,
    callers,
    configured,
    deciding,
    role_groups,
    rules_of_groups,
    with_tokens,
)
from tests.users import create_user
from tests.worlds import World, image

TABLES: Final = {**PAGES, **API}
ADMIN_SITE: Final = "admin"
SENT_AWAY: Final = ("/admin/login/", "/sign-in")
METHODS: Final = [(name, method) for name, row in TABLES.items() for method in row]
UNSAFE: Final = [(name, method) for name, method in METHODS if method != "GET" and name not in WITHOUT_CSRF]
CLUSTER_PATH: Final = f"/dockerhub/{hashlib.sha256(b'orgs3cret').hexdigest()}"

# Each token calls these: an address for each sort of rule. An address doesn't know the token, only what it gives access
# to, so the others are called with one token of each owner's source for each such access.
EVERY_TOKEN: Final = {"api-access", "api-project", "api-redeliver", "api-audit"}
REVEALING: Final = {("receiver", "POST"), ("api-reveal-url", "POST")}

requests: Counter[str] = Counter()
"""The number of requests by part of the matrix."""


def addresses(resolver: URLResolver, prefix: str = "", namespace: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the namespace, the name and the route of every address of the URLconf."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield namespace, pattern.name or "", f"{prefix}{pattern.pattern}"
        else:
            yield from addresses(pattern, f"{prefix}{pattern.pattern}", pattern.namespace or namespace)


@dataclass
class Matrix:
    """The project of the matrix, another one, and everyone who calls."""

    own: str
    another: str
    secret: str
    """A word that only the project's objects have."""

    digest: str
    """The end of the project's receiver URL."""

    finding: str
    callers: list[Caller]
    token_callers: list[Caller]
    paths: dict[str, str]
    seed: int
    saved_view: int = 0
    token: UUID | None = None

    def of(self, name: str, rule: Rule) -> list[Caller]:
        """Return who calls an address: everyone, or for a method that it does not have, everyone by one source."""
        if rule in (NOT_ALLOWED, NO_METHOD):
            return self.of_one_source
        if connection.vendor == "postgresql":
            # The source of a role is not the database's business, but each address runs other queries.
            return self.of_one_source
        if name in EVERY_TOKEN:
            return self.callers + self.token_callers
        if name in API:
            return self.callers + self.different_token_callers(name)
        return self.of_pages

    @property
    def of_one_source(self) -> list[Caller]:
        """Return everyone by one source."""
        return [caller for caller in self.callers if caller.source in {"no session", "local account"}]

    def different_token_callers(self, name: str) -> list[Caller]:
        """Return a random token for each access that tokens give, and each source of their owners."""
        shuffled = Random(f"{self.seed} {name}").sample(self.token_callers, len(self.token_callers))
        different = {(caller.source.partition(":")[0], caller.standing): caller for caller in shuffled}
        return list(different.values())

    @property
    def of_pages(self) -> list[Caller]:
        """Return who calls pages: those with tokens, which open no page, are represented by a few."""
        return self.callers + self.token_callers[::25]

    def delivery(self) -> UUID:
        """Store a failed delivery of the project."""
        return store(failed_delivery(self.own, repository=f"{self.secret}/app", tag=self.secret))[0].pk

    def channel(self) -> UUID:
        """Store an alert channel of the project. It leads nowhere."""
        return AlertChannel.objects.create(
            project=self.own,
            name=f"{self.secret}-{uuid4().hex[:8]}",
            kind="slack",
            secret="none",
            created_by="x",
        ).pk

    def path(self, name: str, *, used: bool) -> str:
        """Return an address. The object there is a new one if the previous request may have `used` it."""
        if used or name not in self.paths:
            make = ARGUMENTS.get(name)
            path = reverse(name, kwargs=make(self)) if make else PATHS.get(name) or reverse(name)
            self.paths[name] = path + (QUERIES[name](self) if name in QUERIES else "")
        return self.paths[name]


Arguments = Callable[[Matrix], dict[str, Any]]


def _project(matrix: Matrix) -> dict[str, Any]:
    return {"project": matrix.own}


def _receiver(matrix: Matrix) -> dict[str, Any]:
    return {"name": matrix.own, "receiver": "hook"}


def _cluster_receiver(_: Matrix) -> dict[str, Any]:
    return {"receiver": "org"}


def _delivery(matrix: Matrix) -> dict[str, Any]:
    return {"pk": matrix.delivery()}


def _channel(matrix: Matrix) -> dict[str, Any]:
    return {"pk": matrix.channel()}


ARGUMENTS: Final[Mapping[str, Arguments]] = {
    "project": lambda matrix: {"name": matrix.own},
    "receiver": _receiver,
    "test": _receiver,
    "registration": _receiver,
    "cluster-receiver": _cluster_receiver,
    "cluster-test": _cluster_receiver,
    "cluster-registration": _cluster_receiver,
    "finding": lambda matrix: {"key": matrix.finding},
    "push": lambda matrix: {"push_id": Delivery.objects.get(pk=matrix.delivery()).push_id},
    "push-by-name": lambda matrix: {"repository": f"{matrix.secret}/app", "tag": matrix.secret},
    "delivery": _delivery,
    "redeliver": _delivery,
    "remove-view": lambda matrix: {"pk": matrix.saved_view},
    "revoke-token": lambda matrix: {"pk": matrix.token},
    "alert-channel": _channel,
    "test-alert-channel": _channel,
    "switch-alert-channel": _channel,
    "delete-alert-channel": _channel,
    "api-project": _project,
    "api-receivers": _project,
    "api-warehouses": _project,
    "api-reveal-url": lambda matrix: {"project": matrix.own, "receiver": "hook"},
    "api-test-push": lambda matrix: {"project": matrix.own, "receiver": "hook"},
    "api-push": lambda matrix: {"push_id": Delivery.objects.get(pk=matrix.delivery()).push_id},
    "api-finding": lambda matrix: {"key": matrix.finding},
    "api-mute": lambda matrix: {"key": matrix.finding},
    "api-delivery": _delivery,
    "api-redeliver": _delivery,
}
"""The arguments of addresses that have some."""

PATHS: Final[Mapping[str, str]] = {"webhook": f"/dockerhub/{'0' * 64}", "api-nothing": "/api/nothing"}
"""Addresses by pattern."""

QUERIES: Final[Mapping[str, Callable[[Matrix], str]]] = {
    "api-explain": lambda matrix: f"?project={matrix.own}&repository=acme/app&tag=1.0.0",
    "api-wait": lambda _: "?repository=acme/app&tag=1.0.0&timeout=0",
    "search": lambda _: "?q=app",
    "api-schema": lambda _: "?format=json",
}


@pytest.fixture(scope="module")
def matrix(database: None, tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Matrix]:
    """Everyone and everything, with a cluster cache but no background work in this process."""
    own, another, secret = unique_name(), unique_name(), f"secret{uuid4().hex[:8]}"
    names = {"own": own, "another": another}
    patch = pytest.MonkeyPatch()
    logging.disable()  # formatting a traceback for each refusal would take most of the time
    with DemoCluster(tmp_path_factory.mktemp("matrix")) as cluster, World(cluster.kubeconfig) as world:
        for name in (own, another):
            project = world.bare_project(name)
            project.warehouse(
                secret if name == own else "app", image(f"{secret if name == own else 'acme'}/app")
            )
            project.publish("hook")
        receivers = [{"name": "org", "dockerhub": {"secretRef": {"name": "org"}}}]
        world.create(
            CLUSTER_CONFIGS, {"metadata": {"name": "cluster"}, "spec": {"webhookReceivers": receivers}}
        )
        published = {"name": "org", "path": CLUSTER_PATH, "url": f"http://hooks{CLUSTER_PATH}"}
        world.cluster.patch_status(
            CLUSTER_CONFIGS, "cluster", None, {"status": {"webhookReceivers": [published]}}
        )
        cluster.allow(groups=rules_of_groups(names))
        patch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        with override_settings(**configured(role_groups(names))):
            current = runtime.Runtime(deciding())
            current.cache.start()
            assert current.cache.wait_ready(PATIENCE)
            patch.setattr(runtime, "_current", current)
            access.use(current.access)
            everyone = list(callers(names))
            someone = create_user("admin")
            matrix = Matrix(
                own=own,
                another=another,
                secret=secret,
                digest=hashlib.sha256(f"{own}hooks3cret".encode()).hexdigest(),
                finding="",
                callers=everyone,
                token_callers=list(with_tokens(everyone, names)),
                paths={},
                seed=seed,
                saved_view=SavedView.objects.create(user=someone, page="pushes", name="mine").pk,
                token=tokens.create(someone, "mine", TokenScope.READ)[0].pk,
            )
            matrix.delivery()
            matrix.finding = next(
                item.key for item in current.health.report().findings if item.project == own
            )
            yield matrix
            print(f"\naccess matrix: {sum(requests.values())} requests: {dict(requests)}")
            access.use(None)
            assert current.access
            current.access.stop()
            current.cache.stop()
            Delivery.objects.filter(project__in=[own, another]).delete()
            AlertChannel.objects.filter(project=own).delete()
    logging.disable(logging.NOTSET)
    patch.undo()


def test_every_address_has_a_row():
    names = {name for namespace, name, _ in addresses(get_resolver()) if namespace != ADMIN_SITE}
    assert names == set(TABLES)


@pytest.mark.e2e
@pytest.mark.parametrize(("name", "method"), METHODS, ids=str)
def test_every_address_responds_to_every_role_by_every_source_as_its_row_says(matrix, name, method):
    rule = TABLES[name][method]
    wrong = []
    for caller in matrix.of(name, rule):
        problem = check(matrix, caller, name, method, rule)
        if problem:
            wrong.append(problem)
    assert not wrong, "\n".join(wrong)


@pytest.mark.e2e
@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_other_method_does_anything(matrix, name):
    """The same for those who may do everything."""
    for caller in [caller for caller in matrix.callers if caller.role in {"anonymous", "superuser"}]:
        for method in sorted({"PUT", "PATCH", "DELETE"} - TABLES[name].keys()):
            before = Audit.objects.count()
            response = caller.send(method, matrix.path(name, used=False))
            requests["other methods"] += 1
            assert 300 <= response.status_code < 500, f"{method} by {caller}: {response.status_code}"
            assert Audit.objects.count() == before


@pytest.mark.e2e
@pytest.mark.parametrize(("name", "method"), UNSAFE, ids=str)
def test_a_session_can_not_be_used_from_another_site(matrix, name, method):
    """A request without a CSRF token is refused, even if its sender may do everything."""
    [caller] = [caller for caller in matrix.callers if caller.role == "superuser"]
    before = Audit.objects.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caller.client.handler, "enforce_csrf_checks", True)
        response = caller.send(method, matrix.path(name, used=False))
    requests["other sites"] += 1
    assert response.status_code == 403
    assert Audit.objects.count() == before


def admin_addresses() -> list[str]:
    """Return the addresses of the Django admin; objects there have an identifier that does not exist."""
    routes = {route for namespace, _, route in addresses(get_resolver()) if namespace == ADMIN_SITE}
    return sorted("/" + re.sub(r"<[^>]*>", "0", route) for route in routes if "(?P" not in route)


@pytest.mark.e2e
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_django_admin_is_for_superusers(matrix, method):
    everyone = [
        caller
        for caller in matrix.of_pages
        if caller.role in {"anonymous", "admin"} and not caller.by_kubernetes
    ]
    wrong = []
    for path in admin_addresses():
        for caller in everyone:
            response = (
                caller.with_new_session().send(method, path)
                if "logout" in path
                else caller.send(method, path)
            )
            requests["Django admin"] += 1
            away = (*SENT_AWAY, "/admin/") if path == "/admin/logout/" else SENT_AWAY
            sent_away = response.status_code == 302 and response["Location"].startswith(away)
            if not sent_away and response.status_code != 403:
                wrong.append(f"{path} by {caller}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def check(matrix: Matrix, caller: Caller, name: str, method: str, rule: Rule) -> str:
    """Send a request; return what is wrong with the response, empty if nothing is."""
    standing = caller.standing
    if caller.is_token and name not in API:
        standing = type(standing)(anonymous=True)  # a token opens no page
    expected = rule.expected(standing)
    permitted = rule.permits(standing)
    path = matrix.path(name, used=rule.audited and permitted)
    before = Audit.objects.count() if rule.audited else 0
    response = (caller.with_new_session() if name == "sign-out" else caller).send(
        method, path, rule.form, json=rule.json
    )
    requests[caller.source.partition(":")[0]] += 1
    body = b"".join(response) if response.streaming else response.content
    if response.status_code != expected:
        return f"{caller}: {response.status_code}, not {expected}"
    sees = standing.in_project >= VIEWER
    if not sees and matrix.secret.encode() in body.replace(path.encode(), b""):
        return f"{caller}: shows what only the project has"
    if matrix.digest.encode() in body and (name, method) not in REVEALING:
        return f"{caller}: shows the receiver URL"
    if rule.audited:
        acted = Audit.objects.count() > before
        if acted != permitted:
            return f"{caller}: {'an' if acted else 'no'} entry in the audit log"
    return ""
