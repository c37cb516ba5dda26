"""`manage.py redeliver`: one delivery, or all that failed."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import pytest

from receivers.models import Delivery, Origin, Outcome, new_id
from tests.clusters import until
from tests.commands.running import run, run_alone
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.product import Product
from tests.refreshes.conftest import SHORT_DELAYS
from tests.worlds import World, image, push_body

pytestmark = pytest.mark.usefixtures("database")

STORE = """
import django; django.setup()
from tests.refreshes.conftest import SHORT_DELAYS
from tests.product import Product
from tests.deliveries.rows import delivery, store
print(store(delivery("demo", body=b"{}", outcome="failed"))[0].pk)
"""


@contextmanager
def served(cluster, **environment):
    """kargoweb with a database of its own."""
    product = Product(cluster.kubeconfig_for("kargoweb"), **SHORT_DELAYS, **environment)
    product.migrate()
    with product:
        yield product


def failed(project, seconds=0.0, **fields):
    return delivery(project, seconds, **({"outcome": Outcome.FAILED, "body": b"{}"} | fields))


class TestOne:
    def test_a_serving_process_starts_it(self, product, world):
        place = routed_project(product, world, image("example/once-more"))
        answer = product.post(place.path(), push_body("example/once-more", "1.0.0"))
        original = wait_for_result(answer.headers["X-Kargoweb-Delivery"])
        done = run("redeliver", original.pk.hex, "--json")
        assert done.code == 0
        (row,) = done.json["deliveries"]
        assert row["original"]["id"] == str(original.pk)
        again = wait_for_result(row["delivery"])
        assert (again.outcome, again.original_id) == (Outcome.REFRESHED, original.pk)
        assert again.actor.endswith("command line") or again.actor.endswith("(command line)")
        assert place.token() == again.refreshes.get().token != original.refreshes.get().token

    def test_a_dry_run_redelivers_nothing(self):
        (row,) = store(failed(unique_name()))
        done = run("redeliver", str(row.pk), "--dry-run")
        assert done.code == 0
        assert "1 can be redelivered, 0 cannot be" in done.out
        assert not row.redeliveries.exists()

    def test_a_delivery_without_a_body_is_an_error_of_one_line(self):
        (row,) = store(failed(unique_name(), body=b""))
        done = run("redeliver", str(row.pk))
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith(f"Can't redeliver {row.pk}: ")

    def test_without_a_serving_process_it_warns_and_stays_pending(self, tmp_path):
        own = {"DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3"}
        assert run_alone("manage.py", "migrate", "-v0", **own).code == 0
        pk = run_alone("-c", STORE, **own).out.strip()
        done = run_alone("manage.py", "redeliver", pk, "--json", **own)
        assert done.code == 2
        assert "No serving process started the redelivery within 10 s" in done.err
        kept = run_alone("manage.py", "deliveries", "list", "--origin", "redelivery", "--json", **own)
        (row,) = kept.json["deliveries"]
        assert (row["original"], row["outcome"]) == (pk, "pending")
        assert row["id"] == json.loads(done.out)["deliveries"][0]["delivery"]


def test_a_push_before_its_tag_was_visible_becomes_freight_when_redelivered(kargo, kargo_cluster, tmp_path):
    # A database of its own: the other servers of the session are in front of other clusters.
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3"}
    with (
        World(kargo_cluster.kubeconfig) as world,
        served(kargo_cluster, **own) as product,
    ):
        repository = f"{new_id().hex}/app"
        place = world.project(image(repository))
        kargo.registry.put(repository, "1.0.0")
        until("the receiver is known", lambda: product.post(place.path(), b"[]").status == 400)
        body = push_body(repository, "2.0.0", pushed_at=int(time.time()))
        until("so is its Warehouse", lambda: b"refreshed 1" in product.post(place.path(), body).data)
        pk = product.post(place.path(), body).headers["X-Kargoweb-Delivery"]
        early = run_alone("manage.py", "deliveries", "follow", pk, "--json", **own)
        assert (early.code, early.json_lines[-1]["outcome"]) == (1, "tag_not_visible")

        kargo.registry.put(repository, "2.0.0")
        done = run_alone("manage.py", "redeliver", pk, "--follow", "--json", **own)
        assert done.code == 0
        assert done.json["deliveries"][0]["outcome"] in {"freight_created", "already_current"}

        again = done.json["deliveries"][0]["delivery"]
        followed = run_alone("manage.py", "deliveries", "follow", again, "--json", **own)
        *story, end = followed.json_lines
        assert (followed.code, end["timed_out"]) == (0, False)
        events = [one["event"] for one in story]
        assert (events[0], events[-1].split()[0]) == ("received", end["outcome"].split()[0])
        assert {"requested", "handled"} <= set(events)
        assert story[-1]["warehouse"] == f"{place.name}/warehouse-0"


class TestAllThatFailed:
    def test_each_is_redelivered_once_at_the_rate_and_followed(self, product, world):
        place = routed_project(product, world)
        for tag in ("1.0.0", "1.0.1"):
            wait_for_result(
                product.post(place.path(), push_body("example/failed", tag)).headers["X-Kargoweb-Delivery"]
            )
        deliveries_of(place).filter(tag__in=["1.0.0", "1.0.1"]).update(outcome=Outcome.NOT_HANDLED)
        options = ["redeliver", "--failed-since", "1h", "--project", place.name]
        assert "2 can be redelivered" in run(*options, "--dry-run").out

        done = run(*options, "--rate", "20", "--yes", "--follow")
        # Nobody subscribes to the repository, so they end, and not well.
        assert done.code == 1
        assert "2 redelivered, 0 cannot be" in done.out
        assert done.out.count("No match: ") == 2
        again = deliveries_of(place).filter(origin=Origin.REDELIVERY)
        assert sorted(again.values_list("tag", flat=True)) == ["1.0.0", "1.0.1"]
        assert "0 redelivered" not in run(*options, "--yes").out
        assert again.count() == 2

    def test_without_yes_a_script_gets_the_number_and_nothing_is_redelivered(self):
        project = unique_name()
        store(failed(project), failed(project, 1), failed(project, 2, outcome=Outcome.INVALID_BODY))
        done = run_alone("manage.py", "redeliver", "--failed-since", "2026-01-01", "--project", project)
        assert done.code == 3
        assert "2 deliveries would be redelivered. Confirm with --yes" in done.err
        assert not Delivery.objects.filter(project=project, origin=Origin.REDELIVERY).exists()

    def test_refused_deliveries_are_listed_with_the_problem(self):
        project = unique_name()
        store(failed(project), failed(project, 1, body=b""))
        done = run("redeliver", "--failed-since", "2026-01-01", "--project", project, "--dry-run", "--json")
        assert done.code == 1
        assert [one["delivery"] for one in done.json["deliveries"]] == [None]
        assert done.json["refused"][0]["problem"].startswith("its body is empty")

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "Give either an ID or --failed-since"),
            (["0" * 8, "--failed-since", "1h"], "Give either an ID or --failed-since"),
            (["--failed-since", "soon"], "--failed-since must be a time such as"),
            (["--failed-since", "1h", "--rate", "0"], "the rate must be a number from 0.1 to 100 per second"),
        ],
    )
    def test_an_invalid_option_is_an_error_of_one_line(self, arguments, sentence):
        done = run("redeliver", *arguments)
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith(sentence)
