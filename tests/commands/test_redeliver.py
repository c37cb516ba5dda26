"""`manage.py redeliver`: one delivery, or all that failed."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import pytest

from receivers.models import Delivery, Origin, Outcome, new_id
from tests.clusters import until
from tests.commands.running import run, run_alone
from tests.deliveries.rows import delivery, some_name, store
from tests.delivery_rows import ended, of_project, routed
from tests.product import Product
from tests.refreshes.conftest import LITTLE_PATIENCE
from tests.worlds import World, image, push_body

pytestmark = pytest.mark.usefixtures("database")

STORE = """
import django; django.setup()
from tests.following.conftest import LITTLE_PATIENCE
from tests.product import Product
from tests.reading.rows import delivery, store
print(store(delivery("demo", body=b"{}", outcome="failed"))[0].pk)
"""


@contextmanager
def served(cluster, **environment):
    """kargoweb with a database of its own."""
    product = Product(cluster.kubeconfig_for("kargoweb"), **LITTLE_PATIENCE, **environment)
    product.migrate()
    with product:
        yield product


def failed(project, seconds=0.0, **fields):
    return delivery(project, seconds, **({"outcome": Outcome.FAILED, "body": b"{}"} | fields))


class TestOne:
    def test_a_serving_process_takes_it_up(self, product, world):
        place = routed(product, world, image("example/once-more"))
        answer = product.post(place.path(), push_body("example/once-more", "1.0.0"))
        original = ended(answer.headers["X-Kargoweb-Delivery"])
        done = run("redeliver", original.pk.hex, "--json")
        assert done.code == 0
        (row,) = done.json["deliveries"]
        assert row["original"]["id"] == str(original.pk)
        again = ended(row["delivery"])
        assert (again.outcome, again.original_id) == (Outcome.REFRESHED, original.pk)
        assert again.actor.endswith("command line") or again.actor.endswith("(command line)")
        assert place.token() == again.refreshes.get().token != original.refreshes.get().token

    def test_a_dry_run_sends_nothing(self):
        (row,) = store(failed(some_name()))
        done = run("redeliver", str(row.pk), "--dry-run")
        assert done.code == 0
        assert "1 can be sent again, 0 cannot be" in done.out
        assert not row.redeliveries.exists()

    def test_what_cannot_be_sent_again_is_one_line_and_3(self):
        (row,) = store(failed(some_name(), body=b""))
        done = run("redeliver", str(row.pk))
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith(f"delivery {row.pk} cannot be sent again: nothing was kept of its body")

    def test_where_nobody_serves_it_says_so_and_keeps_it(self, tmp_path):
        own = {"DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3"}
        assert run_alone("manage.py", "migrate", "-v0", **own).code == 0
        pk = run_alone("-c", STORE, **own).out.strip()
        done = run_alone("manage.py", "redeliver", pk, "--json", **own)
        assert done.code == 2
        assert "No serving process has taken it up within 10 s" in done.err
        kept = run_alone("manage.py", "deliveries", "list", "--origin", "redelivery", "--json", **own)
        (row,) = kept.json["deliveries"]
        assert (row["original"], row["outcome"]) == (pk, "pending")
        assert row["id"] == json.loads(done.out)["deliveries"][0]["delivery"]


def test_what_came_too_early_becomes_freight_when_it_is_sent_again(kargo, kargo_cluster, tmp_path):
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
    def test_they_are_sent_paced_once_each_and_followed(self, product, world):
        place = routed(product, world)
        for tag in ("1.0.0", "1.0.1"):
            ended(product.post(place.path(), push_body("example/failed", tag)).headers["X-Kargoweb-Delivery"])
        of_project(place).filter(tag__in=["1.0.0", "1.0.1"]).update(outcome=Outcome.NOT_HANDLED)
        options = ["redeliver", "--failed-since", "1h", "--project", place.name]
        assert "2 can be sent again" in run(*options, "--dry-run").out

        done = run(*options, "--rate", "20", "--yes", "--follow")
        # Nobody subscribes to the repository, so they end, and not well.
        assert done.code == 1
        assert "2 sent again, 0 cannot be" in done.out
        assert done.out.count("no match: no Warehouse in scope subscribes") == 2
        again = of_project(place).filter(origin=Origin.REDELIVERY)
        assert sorted(again.values_list("tag", flat=True)) == ["1.0.0", "1.0.1"]
        assert "0 sent again" not in run(*options, "--yes").out
        assert again.count() == 2

    def test_without_yes_a_script_is_told_how_many_and_nothing_is_sent(self):
        project = some_name()
        store(failed(project), failed(project, 1), failed(project, 2, outcome=Outcome.INVALID_BODY))
        done = run_alone("manage.py", "redeliver", "--failed-since", "2026-01-01", "--project", project)
        assert done.code == 3
        assert "2 deliveries would be sent again; --yes does so" in done.err
        assert not Delivery.objects.filter(project=project, origin=Origin.REDELIVERY).exists()

    def test_what_cannot_be_is_listed_with_its_reason(self):
        project = some_name()
        store(failed(project), failed(project, 1, body=b""))
        done = run("redeliver", "--failed-since", "2026-01-01", "--project", project, "--dry-run", "--json")
        assert done.code == 1
        assert [one["delivery"] for one in done.json["deliveries"]] == [None]
        assert done.json["refused"][0]["problem"].startswith("nothing was kept")

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "either an ID or --failed-since is asked for"),
            (["0" * 8, "--failed-since", "1h"], "either an ID or --failed-since is asked for"),
            (["--failed-since", "soon"], "--failed-since takes a time such as"),
            (["--failed-since", "1h", "--rate", "0"], "the rate is a number from 0.1 to 100 a second"),
        ],
    )
    def test_what_it_does_not_take_is_one_line_and_3(self, arguments, sentence):
        done = run("redeliver", *arguments)
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith(sentence)
