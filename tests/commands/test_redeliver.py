"""`manage.py redeliver`: one delivery, or all that failed."""

from __future__ import annotations

import time

import pytest

from receivers.models import Delivery, Origin, Outcome, new_id
from tests.clusters import until
from tests.commands.running import run, run_process
from tests.deliveries.rows import failed_delivery, store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.product import Product
from tests.refreshes.conftest import SHORT_DELAYS
from tests.worlds import World, image, push_body

pytestmark = pytest.mark.usefixtures("database")


class TestSingleDelivery:
    def test_a_serving_process_starts_the_redelivery(self, product, world):
        project = routed_project(product, world, image("example/redelivered"))
        response = product.post(project.path(), push_body("example/redelivered", "1.0.0"))
        original = wait_for_result(response.headers["X-Kargoweb-Delivery"])
        done = run("redeliver", original.pk.hex, "--json")
        assert done.code == 0
        (row,) = done.json["deliveries"]
        assert row["original"]["id"] == str(original.pk)
        redelivery = wait_for_result(row["delivery"])
        assert (redelivery.outcome, redelivery.original_id) == (Outcome.REFRESHED, original.pk)
        assert redelivery.actor.endswith("command line") or redelivery.actor.endswith("(command line)")
        assert project.token() == redelivery.refreshes.get().token != original.refreshes.get().token

    def test_a_dry_run_redelivers_nothing(self):
        (row,) = store(failed_delivery(unique_name()))
        done = run("redeliver", str(row.pk), "--dry-run")
        assert done.code == 0
        assert "1 can be redelivered, 0 cannot be" in done.out
        assert not row.redeliveries.exists()

    def test_a_delivery_without_a_body_is_an_error_of_one_line(self):
        (row,) = store(failed_delivery(unique_name(), body=b""))
        done = run("redeliver", str(row.pk))
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith(f"Can't redeliver {row.pk}: ")

    def test_without_a_serving_process_the_redelivery_stays_pending_with_a_warning(self):
        project = unique_name()
        (original,) = store(failed_delivery(project))
        done = run("redeliver", str(original.pk), "--json")
        assert done.code == 2
        assert "No serving process started the redelivery within 10 s" in done.err
        pending = run("deliveries", "list", "--origin", "redelivery", "--project", project, "--json")
        (row,) = pending.json["deliveries"]
        assert (row["original"], row["outcome"]) == (str(original.pk), "pending")
        assert row["id"] == done.json["deliveries"][0]["delivery"]


@pytest.mark.e2e
def test_a_redelivery_creates_freight_if_the_tag_has_become_visible(kargo, kargo_cluster):
    with (
        World(kargo_cluster.kubeconfig) as world,
        Product(kargo_cluster.kubeconfig_for("kargoweb"), **SHORT_DELAYS) as product,
    ):
        repository = f"{new_id().hex}/app"
        project = world.project(image(repository))
        kargo.registry.put(repository, "1.0.0")
        until("the receiver is known", lambda: product.post(project.path(), b"[]").status == 400)
        body = push_body(repository, "2.0.0", pushed_at=int(time.time()))
        until("the Warehouse is known", lambda: b"refreshed 1" in product.post(project.path(), body).data)
        pk = product.post(project.path(), body).headers["X-Kargoweb-Delivery"]
        early = run("deliveries", "follow", pk, "--json")
        assert (early.code, early.json_lines[-1]["outcome"]) == (1, "tag_not_visible")

        kargo.registry.put(repository, "2.0.0")
        done = run("redeliver", pk, "--follow", "--json")
        assert done.code == 0
        assert done.json["deliveries"][0]["outcome"] in {"freight_created", "already_current"}

        redelivery = done.json["deliveries"][0]["delivery"]
        followed = run("deliveries", "follow", redelivery, "--json")
        *history, end = followed.json_lines
        assert (followed.code, end["timed_out"]) == (0, False)
        events = [entry["event"] for entry in history]
        assert (events[0], events[-1]) == ("received", end["outcome"])
        assert {"requested", "handled"} <= set(events)
        assert history[-1]["warehouse"] == f"{project.name}/warehouse-0"


class TestFailedDeliveries:
    def test_each_is_redelivered_once_at_the_given_rate_and_followed(self, product, world):
        project = routed_project(product, world)
        for tag in ("1.0.0", "1.0.1"):
            wait_for_result(
                product.post(project.path(), push_body("example/failed", tag)).headers["X-Kargoweb-Delivery"]
            )
        deliveries_of(project).filter(tag__in=["1.0.0", "1.0.1"]).update(outcome=Outcome.NOT_HANDLED)
        options = ["redeliver", "--failed-since", "1h", "--project", project.name]
        assert "2 can be redelivered" in run(*options, "--dry-run").out

        done = run(*options, "--rate", "20", "--yes", "--follow")
        # No Warehouse subscribes to the repository, so they end as failures.
        assert done.code == 1
        assert "2 redelivered, 0 cannot be" in done.out
        assert done.out.count("No match: ") == 2
        redeliveries = deliveries_of(project).filter(origin=Origin.REDELIVERY)
        assert sorted(redeliveries.values_list("tag", flat=True)) == ["1.0.0", "1.0.1"]
        assert "0 redelivered" not in run(*options, "--yes").out
        assert redeliveries.count() == 2

    def test_without_yes_a_script_only_shows_the_number_of_deliveries(self):
        project = unique_name()
        store(
            failed_delivery(project),
            failed_delivery(project, 1),
            failed_delivery(project, 2, outcome=Outcome.INVALID_BODY),
        )
        done = run_process("manage.py", "redeliver", "--failed-since", "2026-01-01", "--project", project)
        assert done.code == 3
        assert "2 deliveries would be redelivered. Confirm with --yes" in done.err
        assert not Delivery.objects.filter(project=project, origin=Origin.REDELIVERY).exists()

    def test_deliveries_that_cannot_be_redelivered_are_listed_with_the_problem(self):
        project = unique_name()
        store(failed_delivery(project), failed_delivery(project, 1, body=b""))
        done = run("redeliver", "--failed-since", "2026-01-01", "--project", project, "--dry-run", "--json")
        assert done.code == 1
        assert [row["delivery"] for row in done.json["deliveries"]] == [None]
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
