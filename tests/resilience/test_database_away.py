"""The database is slow, locked or unreachable: pushes are still processed, and stored when it is back."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import Delivery, Outcome, new_id
from tests.clusters import until
from tests.delivery_rows import of_project, routed
from tests.product import Product
from tests.resilience.databases import Gate, locked, url
from tests.worlds import image, push_body


def spooling(cluster, data_dir, **variables):
    """Return a serving process on the session's database, with a data directory and spool of its own."""
    own = {"KARGOWEB_DATA_DIR": str(data_dir), "DATABASE_URL": url(), "KARGOWEB_ANSWER_TIMEOUT": "3"}
    return Product(cluster.kubeconfig, **(own | variables))


@pytest.fixture
def own(database, demo_cluster, tmp_path):
    """A serving process of this test's own, with its own spool."""
    with spooling(demo_cluster, tmp_path / "data") as product:
        yield product


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "data" / "spool"


def kept(spool) -> int:
    return len(list(spool.iterdir()))


def in_log(key: str) -> Delivery | None:
    return Delivery.objects.filter(pk=key).exclude(outcome=Outcome.PENDING).first()


def test_a_push_refreshes_while_the_database_is_locked_and_is_stored_afterwards(own, world, spool):
    place = routed(own, world, image("example/locked"))
    with locked():
        answer = own.post(place.path(), push_body("example/locked", "6.0.0"))
        assert (answer.status, answer.data) == (200, b'{"msg":"refreshed 1 warehouse(s)"}\n')
        token = place.token()
        assert token
        assert kept(spool) == 1
    delivery = until("it is in the log", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
    assert (delivery.tag, delivery.status, delivery.warehouses) == ("6.0.0", 200, 1)
    assert bytes(delivery.body) == push_body("example/locked", "6.0.0")
    assert delivery.refreshes.get().token == token == place.token()
    until("its file is removed", lambda: kept(spool) == 0)
    assert own.post(place.path(), push_body("example/locked", "6.0.1")).status == 200
    assert kept(spool) == 0


def test_many_pushes_wait_for_a_locked_database_only_once(own, world, spool):
    place = routed(own, world, image("example/many"))
    with locked():
        answers = [own.post(place.path(), push_body("example/many", f"7.0.{n}")) for n in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert kept(spool) == 20
    keys = [answer.headers["X-Kargoweb-Delivery"] for answer in answers]
    until("they are in the log", lambda: all(map(in_log, keys)))
    until("their files are removed", lambda: kept(spool) == 0)


def test_a_rejected_request_is_stored_afterwards_with_its_response(own, world, spool):
    place = routed(own, world, image("example/bad"))
    with locked():
        answer = own.post(place.path(), b"[]")
        assert answer.status == 400
    delivery = until("it is in the log", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
    assert (delivery.outcome, delivery.status) == (Outcome.INVALID_BODY, 400)
    until("its file is removed", lambda: kept(spool) == 0)


def test_without_database_and_cluster_it_answers_503_and_resumes_when_both_are_back(
    own, demo_cluster, world, spool
):
    place = routed(own, world, image("example/both"))
    with locked():
        demo_cluster.kill()
        try:
            answer = own.post(place.path(), push_body("example/both", "8.0.0"))
        finally:
            demo_cluster.start()
        assert answer.status == 503
        assert kept(spool) == 1
    delivery = until("it is in the log", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
    assert delivery.status == 503
    until("it is retried", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
    until("its file is removed", lambda: kept(spool) == 0)


def test_a_process_killed_while_the_database_is_locked_loses_nothing(own, world, spool):
    place = routed(own, world, image("example/killed"))
    with locked():
        answer = own.post(place.path(), push_body("example/killed", "9.0.0"))
        assert answer.status == 200
        own.kill()
        assert kept(spool) == 1
    assert not of_project(place).filter(tag="9.0.0").exists()
    own.start()
    delivery = until("it is processed", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
    assert (delivery.outcome, delivery.tag) == (Outcome.REFRESHED, "9.0.0")
    until("its file is removed", lambda: kept(spool) == 0)


def test_a_database_that_is_unlocked_while_a_push_waits_stores_the_delivery_once(own, world, spool):
    """The first push waits for the lock and gets it only after it was answered from the spool."""
    place = routed(own, world, image("example/slow"))
    before = of_project(place).count()
    with locked():
        own.post(place.path(), push_body("example/slow", "1.0.0"))
        time.sleep(0.5)
    until("its file is removed", lambda: kept(spool) == 0)
    delivery = of_project(place).get(tag="1.0.0")
    assert of_project(place).count() == before + 1
    assert delivery.refreshes.count() == 1


def test_an_unusable_spool_is_logged_and_answered_503(database, demo_cluster, world, tmp_path):
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "spool").write_text("in the way")
    with spooling(demo_cluster, data_dir) as product:
        assert "spool is unusable" in product.log()
        place = routed(product, world, image("example/nowhere"))
        with locked():
            assert product.post(place.path(), push_body("example/nowhere", "1.2.3")).status == 503
            assert place.token() == ""
            until("the log says so", lambda: "lost a delivery" in product.log())


def test_an_unreadable_file_is_set_aside(database, demo_cluster, tmp_path):
    key = new_id()
    spool = tmp_path / "data" / "spool"
    spool.mkdir(parents=True)
    (spool / f"{key}.json").write_text("half a del")
    with spooling(demo_cluster, tmp_path / "data") as product:
        until("it is set aside", (spool / f"{key}.unusable").exists)
        until("the log names it", lambda: str(key) in product.log())


def test_a_process_is_not_ready_before_it_has_seen_the_database(demo_cluster, world, tmp_path):
    # It has not been migrated and has no tables.
    database = f"sqlite:///{tmp_path}/empty.sqlite3"
    product = spooling(demo_cluster, tmp_path, DATABASE_URL=database)
    product.start(ready=False)
    try:
        readiness = product.get("/readyz")
        assert readiness.status == 503
        assert readiness.json()["database"] == "away"
        until("the log says why", lambda: "no such table" in product.log())
        place = world.project(image("example/refused"))
        until("the receiver is known", lambda: product.post(place.path(), b"[]").status == 400)
        # Kubernetes sends no requests to a process that is not ready, but if one arrives it is not lost.
        assert product.post(place.path(), push_body("example/refused")).status == 200
        assert kept(tmp_path / "spool") >= 2
    finally:
        product.stop()


def test_pushes_are_accepted_while_the_database_server_is_unreachable(
    database, demo_cluster, world, tmp_path
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    gate = Gate(url())
    with spooling(demo_cluster, tmp_path, DATABASE_URL=gate.url) as product:
        place = routed(product, world, image("example/away"))
        gate.close()
        until("it is noticed", lambda: product.get("/readyz").json()["database"] != "ok")
        assert product.get("/readyz").status == 200
        answer = product.post(place.path(), push_body("example/away", "3.0.0"))
        assert answer.status == 200
        assert product.get("/readyz").json()["spool"] == {"deliveries": 1, "room": True}
        assert product.status("/sign-in") in {200, 503}
        gate.open()
        delivery = until("it is in the log", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
        assert delivery.outcome == Outcome.REFRESHED
        until("its file is removed", lambda: kept(tmp_path / "spool") == 0)
