"""The database is slow, locked or unreachable: pushes are still processed, and stored when it is back."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import Delivery, Outcome, new_id
from receivers.webhook import signed_test_tokens
from tests.clusters import until
from tests.delivery_rows import deliveries_of, routed_project
from tests.product import Product
from tests.resilience.outages import DatabaseProxy, database_url, locked
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e


def spooling_product(cluster, data_dir, **variables):
    """Return a serving process on the test's database, with a separate data directory and spool."""
    environment = {
        "KARGOWEB_DATA_DIR": str(data_dir),
        "DATABASE_URL": database_url(),
        "KARGOWEB_ANSWER_TIMEOUT": "3",
    }
    return Product(cluster.kubeconfig, **(environment | variables))


@pytest.fixture
def own_product(database, demo_cluster, tmp_path):
    """A serving process for one test, with a separate spool."""
    with spooling_product(demo_cluster, tmp_path / "data") as product:
        yield product


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "data" / "spool"


def spooled_count(spool) -> int:
    return len(list(spool.iterdir()))


def logged(key: str) -> Delivery | None:
    """Return a delivery if it is stored with its outcome."""
    return Delivery.objects.filter(pk=key).exclude(outcome=Outcome.PENDING).first()


@pytest.fixture(scope="class")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="class")
def serving(database, demo_cluster, data_dir):
    with spooling_product(demo_cluster, data_dir) as product:
        yield product


class TestLockedDatabase:
    """One process for all of these, because each of them leaves it with an empty spool and the database in use."""

    @pytest.fixture
    def spool(self, data_dir):
        return data_dir / "spool"

    @pytest.fixture
    def product(self, serving, spool):
        yield serving
        until("the spool is empty", lambda: spooled_count(spool) == 0)

    def test_a_push_is_processed_while_the_database_is_locked_and_stored_afterward(
        self, product, world, spool
    ):
        project = routed_project(product, world, image("example/locked"))
        with locked():
            response = product.post(project.path(), push_body("example/locked", "6.0.0"))
            assert (response.status, response.data) == (200, b'{"msg":"refreshed 1 warehouse(s)"}\n')
            token = project.token()
            assert token
            assert spooled_count(spool) == 1
        delivery = until("the delivery is logged", lambda: logged(response.headers["X-Kargoweb-Delivery"]))
        assert (delivery.tag, delivery.status, delivery.warehouses) == ("6.0.0", 200, 1)
        assert bytes(delivery.body) == push_body("example/locked", "6.0.0")
        assert delivery.refreshes.get().token == token == project.token()
        until("the spooled file is removed", lambda: spooled_count(spool) == 0)
        assert product.post(project.path(), push_body("example/locked", "6.0.1")).status == 200
        assert spooled_count(spool) == 0

    def test_many_pushes_wait_for_a_locked_database_only_once(self, product, world, spool):
        project = routed_project(product, world, image("example/many"))
        with locked():
            responses = [
                product.post(project.path(), push_body("example/many", f"7.0.{n}")) for n in range(20)
            ]
            assert {response.status for response in responses} == {200}
            assert spooled_count(spool) == 20
        keys = [response.headers["X-Kargoweb-Delivery"] for response in responses]
        until("the deliveries are logged", lambda: all(map(logged, keys)))
        until("the spooled files are removed", lambda: spooled_count(spool) == 0)

    def test_a_rejected_request_is_stored_afterward_with_its_response(self, product, world, spool):
        project = routed_project(product, world, image("example/bad"))
        with locked():
            response = product.post(project.path(), b"[]")
            assert response.status == 400
        delivery = until("the delivery is logged", lambda: logged(response.headers["X-Kargoweb-Delivery"]))
        assert (delivery.outcome, delivery.status) == (Outcome.INVALID_BODY, 400)
        until("the spooled file is removed", lambda: spooled_count(spool) == 0)

    def test_a_test_push_gets_503_while_the_database_is_locked(self, product, world, spool):
        project = routed_project(product, world, image("example/tested"))
        body = push_body("example/tested", "1.0.0")
        test = signed_test_tokens.TestToken(new_id(), project.name, "hook", "jane", dry_run=False)
        with locked():
            # Only the database can tell whether the token was used before.
            headers = {"X-Kargoweb-Test": signed_test_tokens.issue(test, body)}
            assert product.post(project.path(), body, headers).status == 503
            assert (spooled_count(spool), project.token()) == (0, "")

    def test_a_request_with_an_invalid_test_token_is_recorded_like_any_rejected_request(
        self, product, world, spool
    ):
        project = routed_project(product, world, image("example/tested"))
        with locked():
            response = product.post(project.path(), b"{}", {"X-Kargoweb-Test": "forged"})
            assert (response.status, project.token()) == (403, "")
        delivery = until("the delivery is logged", lambda: logged(response.headers["X-Kargoweb-Delivery"]))
        assert (delivery.outcome, delivery.status) == (Outcome.TEST_REFUSED, 403)

    def test_without_database_and_cluster_a_push_gets_503_and_is_processed_when_both_are_back(
        self, product, demo_cluster, world, spool
    ):
        project = routed_project(product, world, image("example/both"))
        with locked():
            demo_cluster.kill()
            try:
                response = product.post(project.path(), push_body("example/both", "8.0.0"))
            finally:
                demo_cluster.start()
            assert response.status == 503
            assert spooled_count(spool) == 1
        delivery = until("the delivery is logged", lambda: logged(response.headers["X-Kargoweb-Delivery"]))
        assert delivery.status == 503
        until("it is retried", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
        until("the spooled file is removed", lambda: spooled_count(spool) == 0)

    def test_a_delivery_is_stored_once_if_the_database_is_unlocked_after_it_was_spooled(
        self, product, world, spool
    ):
        """The write of the first push waits for the lock and gets it only after the response."""
        project = routed_project(product, world, image("example/slow"))
        before = deliveries_of(project).count()
        with locked():
            product.post(project.path(), push_body("example/slow", "1.0.0"))
            time.sleep(0.5)
        until("the spooled file is removed", lambda: spooled_count(spool) == 0)
        delivery = deliveries_of(project).get(tag="1.0.0")
        assert deliveries_of(project).count() == before + 1
        assert delivery.refreshes.count() == 1


def test_a_process_killed_while_the_database_is_locked_loses_nothing(own_product, world, spool):
    project = routed_project(own_product, world, image("example/killed"))
    with locked():
        response = own_product.post(project.path(), push_body("example/killed", "9.0.0"))
        assert response.status == 200
        own_product.kill()
        assert spooled_count(spool) == 1
    assert not deliveries_of(project).filter(tag="9.0.0").exists()
    own_product.start()
    delivery = until("it is processed", lambda: logged(response.headers["X-Kargoweb-Delivery"]))
    assert (delivery.outcome, delivery.tag) == (Outcome.REFRESHED, "9.0.0")
    until("the spooled file is removed", lambda: spooled_count(spool) == 0)


def test_pushes_get_503_if_neither_the_spool_nor_the_database_is_usable(
    database, demo_cluster, world, tmp_path
):
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "spool").write_text("not a directory")
    with spooling_product(demo_cluster, data_dir) as product:
        assert "spool is unusable" in product.log()
        project = routed_project(product, world, image("example/nowhere"))
        with locked():
            assert product.post(project.path(), push_body("example/nowhere", "1.2.3")).status == 503
            assert project.token() == ""
            until("the loss is logged", lambda: "lost a delivery" in product.log())


def test_an_unreadable_spool_file_is_renamed(database, demo_cluster, tmp_path):
    key = new_id()
    spool = tmp_path / "data" / "spool"
    spool.mkdir(parents=True)
    (spool / f"{key}.json").write_text("truncat")
    with spooling_product(demo_cluster, tmp_path / "data") as product:
        until("the file is renamed", (spool / f"{key}.unusable").exists)
        until("the file is named in the log", lambda: str(key) in product.log())


def test_a_process_is_not_ready_before_it_has_used_the_database(demo_cluster, world, tmp_path):
    # Without migrations it has no tables.
    database = f"sqlite:///{tmp_path}/empty.sqlite3"
    product = spooling_product(demo_cluster, tmp_path, DATABASE_URL=database)
    product.start(ready=False)
    try:
        readiness = product.get("/readyz")
        assert readiness.status == 503
        assert readiness.json()["database"] == "away"
        until("the reason is logged", lambda: "no such table" in product.log())
        project = world.project(image("example/refused"))
        until("the receiver is known", lambda: product.post(project.path(), b"[]").status == 400)
        # Kubernetes sends no requests to a process that is not ready, but if one arrives it is not lost.
        assert product.post(project.path(), push_body("example/refused")).status == 200
        assert spooled_count(tmp_path / "spool") >= 2
    finally:
        product.stop()


def test_pushes_are_accepted_while_the_database_server_is_unreachable(
    database, demo_cluster, world, tmp_path
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    proxy = DatabaseProxy(database_url())
    with spooling_product(demo_cluster, tmp_path, DATABASE_URL=proxy.url) as product:
        project = routed_project(product, world, image("example/away"))
        proxy.close()
        until("the outage is noticed", lambda: product.get("/readyz").json()["database"] != "ok")
        assert product.get("/readyz").status == 200
        response = product.post(project.path(), push_body("example/away", "3.0.0"))
        assert response.status == 200
        assert product.get("/readyz").json()["spool"] == {"deliveries": 1, "room": True}
        assert product.status("/sign-in") in {200, 503}
        proxy.open()
        delivery = until("the delivery is logged", lambda: logged(response.headers["X-Kargoweb-Delivery"]))
        assert delivery.outcome == Outcome.REFRESHED
        until("the spooled file is removed", lambda: spooled_count(tmp_path / "spool") == 0)
