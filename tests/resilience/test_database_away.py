"""The database is slow, locked or away: pushes are worked on all the same, and on record when it is back."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from receivers.kargo.outcomes import RefreshState
from receivers.models import Delivery, Outcome, new_id
from tests.clusters import until
from tests.delivery_rows import of_project, routed
from tests.product import Product
from tests.resilience.databases import Gate, locked, url
from tests.worlds import image, push_body


def spooling(cluster, data_dir, **variables):
    """Return a serving process on the session's database with a data directory, and so a spool, of its own."""
    own = {"KARGOWEB_DATA_DIR": str(data_dir), "DATABASE_URL": url(), "KARGOWEB_ANSWER_TIMEOUT": "3"}
    return Product(cluster.kubeconfig, **(own | variables))


@pytest.fixture
def own(database, demo_cluster, tmp_path):
    """A serving process of the test's own, with a spool of its own."""
    with spooling(demo_cluster, tmp_path / "data") as product:
        yield product


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "data" / "spool"


def kept(spool) -> int:
    return len(list(spool.iterdir()))


def in_log(key: str) -> Delivery | None:
    return Delivery.objects.filter(pk=key).exclude(outcome=Outcome.PENDING).first()


def test_a_push_while_the_database_is_locked_refreshes_and_is_stored_afterwards(own, world, spool):
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
    until("its file goes", lambda: kept(spool) == 0)
    assert own.post(place.path(), push_body("example/locked", "6.0.1")).status == 200
    assert kept(spool) == 0


def test_many_pushes_meanwhile_wait_for_the_database_only_once(own, world, spool):
    place = routed(own, world, image("example/many"))
    with locked():
        answers = [own.post(place.path(), push_body("example/many", f"7.0.{n}")) for n in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert kept(spool) == 20
    keys = [answer.headers["X-Kargoweb-Delivery"] for answer in answers]
    until("they are in the log", lambda: all(map(in_log, keys)))
    until("their files go", lambda: kept(spool) == 0)


def test_what_is_refused_meanwhile_is_stored_with_the_answer(own, world, spool):
    place = routed(own, world, image("example/bad"))
    with locked():
        answer = own.post(place.path(), b"[]")
        assert answer.status == 400
    delivery = until("it is in the log", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
    assert (delivery.outcome, delivery.status) == (Outcome.INVALID_BODY, 400)
    until("its file goes", lambda: kept(spool) == 0)


def test_without_database_and_cluster_it_is_503_and_goes_on_when_both_are_back(
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
    until("it is asked again", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
    until("its file goes", lambda: kept(spool) == 0)


def test_a_process_killed_meanwhile_loses_nothing(own, world, spool):
    place = routed(own, world, image("example/killed"))
    with locked():
        answer = own.post(place.path(), push_body("example/killed", "9.0.0"))
        assert answer.status == 200
        own.kill()
        assert kept(spool) == 1
    assert not of_project(place).filter(tag="9.0.0").exists()
    own.start()
    delivery = until("it is worked on", lambda: in_log(answer.headers["X-Kargoweb-Delivery"]))
    assert (delivery.outcome, delivery.tag) == (Outcome.REFRESHED, "9.0.0")
    until("its file goes", lambda: kept(spool) == 0)


def test_a_database_that_comes_back_while_it_is_waited_for_stores_one_delivery_once(own, world, spool):
    """The first push of all waits for the lock, and gets it after its answer was given from the disk."""
    place = routed(own, world, image("example/slow"))
    before = of_project(place).count()
    with locked():
        own.post(place.path(), push_body("example/slow", "1.0.0"))
        time.sleep(0.5)
    until("its file goes", lambda: kept(spool) == 0)
    delivery = of_project(place).get(tag="1.0.0")
    assert of_project(place).count() == before + 1
    assert delivery.refreshes.count() == 1


def test_a_spool_that_cannot_be_written_is_503_and_says_so(database, demo_cluster, world, tmp_path):
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "spool").write_text("in the way")
    with spooling(demo_cluster, data_dir) as product:
        assert "spool cannot be used" in product.log()
        place = routed(product, world, image("example/nowhere"))
        with locked():
            assert product.post(place.path(), push_body("example/nowhere", "1.2.3")).status == 503
            assert place.token() == ""
            assert "is lost" in product.log()


def test_a_file_that_makes_no_sense_is_put_aside(database, demo_cluster, tmp_path):
    key = new_id()
    spool = tmp_path / "data" / "spool"
    spool.mkdir(parents=True)
    (spool / f"{key}.json").write_text("half a del")
    with spooling(demo_cluster, tmp_path / "data") as product:
        until("it is put aside", (spool / f"{key}.unusable").exists)
        assert str(key) in product.log()


def test_a_database_that_was_never_there_keeps_it_from_being_ready(demo_cluster, world, tmp_path):
    # It has no tables: nobody has migrated it.
    database = f"sqlite:///{tmp_path}/empty.sqlite3"
    product = spooling(demo_cluster, tmp_path, DATABASE_URL=database)
    product.start(ready=False)
    try:
        readiness = product.get("/readyz")
        assert readiness.status == 503
        assert readiness.json()["database"] == "away"
        assert "no such table" in product.log()
        place = world.project(image("example/refused"))
        until("the receiver is known", lambda: product.post(place.path(), b"[]").status == 400)
        # Kubernetes sends it none; should one come all the same, it is not lost.
        assert product.post(place.path(), push_body("example/refused")).status == 200
        assert kept(tmp_path / "spool") >= 2
    finally:
        product.stop()


def test_while_the_server_is_away_pushes_are_taken_and_pages_say_so(database, demo_cluster, world, tmp_path):
    if connection.vendor != "postgresql":
        pytest.skip("only a server can be away")
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
        until("its file goes", lambda: kept(tmp_path / "spool") == 0)
