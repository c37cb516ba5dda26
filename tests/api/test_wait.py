"""Clients that wait for a push: what they learn, when, and what that costs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

import pytest
import urllib3
from django.utils import timezone

from kargoweb import VERSION
from receivers.accounts import tokens
from receivers.models import Delivery, Outcome, Refresh, Replica, TokenScope
from tests.api.programs import Program
from tests.clusters import until
from tests.deliveries.rows import delivery, store, unique_name
from tests.product import Product

REPLICA: Final = uuid.UUID(int=7)

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def product(database, demo_cluster):
    """A serving process with metrics."""
    with Product(demo_cluster.kubeconfig, KARGOWEB_METRICS="true") as product:
        yield product


@pytest.fixture(scope="module", autouse=True)
def other_replica(product):
    """A replica that is alive, so that the product leaves alone what it holds."""
    now = timezone.now()
    later = now + timedelta(days=1)
    row = Replica.objects.create(id=REPLICA, host="other", version=VERSION, started_at=now, seen_at=later)
    yield
    # Or the processes of later tests would take the open refreshes over.
    Delivery.objects.filter(refreshes__held_by=REPLICA).delete()
    row.delete()


def push(project: str, repository: str, outcome: Outcome, **fields: Any) -> Delivery:
    """Store a push that has just arrived, and its refresh if it refreshed something."""
    now = timezone.now()
    ended = None if outcome in {Outcome.REFRESHED, Outcome.PENDING} else now
    refreshes = outcome != Outcome.NO_MATCH
    values: dict[str, Any] = {
        "outcome": outcome,
        "received_at": now,
        "ended_at": ended,
        "warehouses": int(refreshes),
        "status": 200,
    }
    [row] = store(delivery(project, **(values | {"repository": repository, "tag": "1.2.3"} | fields)))
    if refreshes:
        state = "requested" if ended is None else "ended"
        freight = (
            {"freight": "f" * 40, "freight_alias": "calm-lemur"} if outcome == Outcome.FREIGHT_CREATED else {}
        )
        Refresh.objects.create(
            delivery=row, project=project, warehouse="api", state=state, requested_at=now, ended_at=ended,
            outcome="" if ended is None else outcome, held_by=REPLICA, **freight,
        )  # fmt: skip
    return row


def end(row: Delivery, outcome: Outcome) -> None:
    """End an open push, as another replica would."""
    now = timezone.now()
    Refresh.objects.filter(delivery=row).update(
        outcome=outcome, state="ended", ended_at=now, freight="f" * 40
    )
    Delivery.objects.filter(pk=row.pk).update(outcome=outcome, ended_at=now, with_freight=1)


@pytest.fixture
def shop():
    """The names of a project and a repository of its own."""
    name = unique_name()
    return name, f"example/{name}"


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.FREIGHT_CREATED, "reached"),
        (Outcome.ALREADY_CURRENT, "reached"),
        (Outcome.NO_MATCH, "failed"),
        (Outcome.NOT_NEWEST, "failed"),
        (Outcome.DISCOVERY_FAILED, "failed"),
    ],
)
def test_what_has_ended_is_answered_at_once(product, shop, outcome, result):
    project, repository = shop
    row = push(project, repository, outcome)
    program = Program(product, f"viewer:{project}", scope=TokenScope.READ)
    answer = program.get("pushes/wait", repository=repository, tag="1.2.3", timeout=60)
    assert (answer["result"], answer["code"]) == (result, outcome.value)
    assert answer["push"]["id"] == str(row.push_id)
    assert answer["sentence"]


def test_a_client_waits_until_the_time_is_over(product, shop):
    project, repository = shop
    program = Program(product, f"viewer:{project}")
    started = time.monotonic()
    answer = program.get("pushes/wait", repository=repository, tag="1.2.3", timeout=1)
    assert (answer["result"], answer["code"], answer["push"]) == ("waiting", "not_received", None)
    assert time.monotonic() - started >= 1.0


def waiting(product) -> int:
    """Return how many clients the product lets wait."""
    lines = product.get("/metrics").data.decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("kargoweb_waiting_clients "))


def in_background(ask: Callable[[], Any]) -> Callable[[], Any]:
    """Call a function in a thread; return a function that waits for its result."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(ask)
    pool.shutdown(wait=False)
    return lambda: future.result(60)


def test_a_client_learns_of_a_push_that_arrives_while_it_waits(product, shop):
    project, repository = shop
    program = Program(product, f"viewer:{project}")
    query = {"repository": repository, "tag": "1.2.3", "timeout": 50}
    answer = in_background(lambda: program.get("pushes/wait", **query))
    until("it waits", lambda: waiting(product) > 0 or None)
    push(project, repository, Outcome.FREIGHT_CREATED)
    assert answer()["result"] == "reached"


def test_a_client_learns_of_the_end_of_a_push_that_another_process_stored(product, shop):
    project, repository = shop
    row = push(project, repository, Outcome.REFRESHED)
    program = Program(product, f"viewer:{project}")
    answer = in_background(
        lambda: program.get("pushes/wait", repository=repository, tag="1.2.3", timeout=50, warehouse="api")
    )
    until("it waits", lambda: waiting(product) > 0 or None)
    end(row, Outcome.FREIGHT_CREATED)
    assert answer()["result"] == "reached"


def test_a_client_learns_that_one_of_several_warehouses_has_failed(product, shop):
    project, repository = shop
    row = push(project, repository, Outcome.REFRESHED)
    refresh = Refresh.objects.create(delivery=row, project=project, warehouse="web", held_by=REPLICA)
    program = Program(product, f"viewer:{project}")
    query = {"repository": repository, "tag": "1.2.3", "timeout": 50}
    answer = in_background(lambda: program.get("pushes/wait", **query))
    until("it waits", lambda: waiting(product) > 0 or None)
    values = {"outcome": Outcome.DISCOVERY_FAILED, "state": "ended", "ended_at": timezone.now()}
    Refresh.objects.filter(pk=refresh.pk).update(**values)
    assert (answer()["result"], answer()["code"]) == ("failed", "discovery_failed")


def test_a_client_that_goes_away_is_forgotten(product, shop):
    project, repository = shop
    program = Program(product, f"viewer:{project}")
    query = f"repository={repository}&tag=1&timeout=300"
    with urllib3.PoolManager(retries=False) as http, pytest.raises(urllib3.exceptions.ReadTimeoutError):
        http.request(
            "GET",
            f"{product.url}/api/v1/pushes/wait?{query}",
            headers={"Authorization": f"Bearer {program.token}"},
            timeout=urllib3.Timeout(connect=10, read=2),
        )
    until("it is forgotten", lambda: waiting(product) == 0 or None)


def test_a_hundred_clients_hold_no_thread_and_all_of_them_get_their_answer(product, shop):
    project, repository = shop
    row = push(project, repository, Outcome.REFRESHED)
    program = Program(product, f"viewer:{project}")
    answers: list[str] = []
    lock = threading.Lock()

    def ask() -> None:
        answer = program.get("pushes/wait", repository=repository, tag="1.2.3", timeout=100)
        with lock:
            answers.append(answer["result"])

    clients = [threading.Thread(target=ask, daemon=True) for _ in range(100)]
    for client in clients:
        client.start()
    until("all of them wait", lambda: waiting(product) == 100 or None)
    # A page has eight threads.
    assert product.get("/healthz").status == 200
    assert program.get("access")["token"] == "ci"
    end(row, Outcome.FREIGHT_CREATED)
    for client in clients:
        client.join(60)
    assert answers == ["reached"] * 100


def test_pushes_that_are_older_than_asked_for_do_not_count(product, shop):
    project, repository = shop
    push(project, repository, Outcome.FREIGHT_CREATED, received_at=timezone.now() - timedelta(hours=2))
    program = Program(product, f"viewer:{project}")
    query = {"repository": repository, "tag": "1.2.3", "timeout": 0}
    assert program.get("pushes/wait", **query)["code"] == "not_received"
    assert program.get("pushes/wait", **query, since="3h")["result"] == "reached"


def test_a_push_of_another_project_is_not_received(product, shop):
    project, repository = shop
    push(project, repository, Outcome.FREIGHT_CREATED)
    query = {"repository": repository, "tag": "1.2.3", "timeout": 0}
    assert Program(product, "viewer:other").get("pushes/wait", **query)["code"] == "not_received"
    Program(product, "viewer:other").get("pushes/wait", 404, **query, project=project)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"tag": "1"}, "repository"),
        ({"repository": "a/b"}, "tag"),
        ({"repository": "a/b", "tag": "1", "until": "production"}, "until"),
        ({"repository": "a/b", "tag": "1", "until": "stage:"}, "until"),
        ({"repository": "a/b", "tag": "1", "timeout": 301}, "timeout"),
        ({"repository": "a/b", "tag": "1", "since": "yesterday"}, "since"),
    ],
)
def test_bad_input_names_the_field(product, query, field):
    problem = Program(product, "viewer").get("pushes/wait", 400, **query)
    assert problem["fields"].keys() == {field}


def test_a_token_that_is_revoked_while_its_client_waits_gets_401(product, shop):
    project, repository = shop
    program = Program(product, f"viewer:{project}")
    query = {"repository": repository, "tag": "1.2.3", "timeout": 50}
    answer = in_background(lambda: program.get("pushes/wait", 401, **query))
    until("it waits", lambda: waiting(product) > 0 or None)
    tokens.revoke(program.token_row)
    push(project, repository, Outcome.FREIGHT_CREATED)
    assert answer()["code"] == "authentication_failed"


@pytest.mark.e2e
def test_a_process_that_stops_does_not_wait_for_its_clients(database, demo_cluster, shop):
    project, repository = shop
    stopping = Product(demo_cluster.kubeconfig, KARGOWEB_METRICS="true")
    stopping.start()
    program = Program(stopping, f"viewer:{project}")
    query = {"repository": repository, "tag": "1.2.3", "timeout": 300}
    answer = in_background(lambda: program.get("pushes/wait", **query))
    until("it waits", lambda: waiting(stopping) > 0 or None)
    stopping.stop()
    # The client gets an answer, and would have to wait for five minutes otherwise.
    assert (answer()["result"], answer()["code"]) == ("waiting", "not_received")
