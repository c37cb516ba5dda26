"""Redelivery to the current Warehouses, by any serving process, with a link to the original."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.redelivery import MOST_AT_ONCE, NotRedeliverable, redeliver, redeliver_all
from receivers.kargo.responses import MAX_BODY
from receivers.kargo.times import parse_time
from receivers.models import Delivery, Origin, Outcome
from receivers.webhook.recovery import due_deliveries
from tests.clusters import PATIENCE, until
from tests.deliveries.rows import delivery, delivery_filter, failed_delivery, store, unique_name
from tests.delivery_rows import rejected_delivery, routed_project, wait_for_result
from tests.worlds import image, push_body

FAILURES = {"outcome": "bad"}


def pushed(product, project, body):
    response = product.post(project.path(), body)
    return wait_for_result(response.headers["X-Kargoweb-Delivery"])


class TestSingleDelivery:
    def test_a_redelivery_refreshes_the_current_warehouses(self, product, world):
        project = routed_project(product, world)
        original = pushed(product, project, push_body("example/redelivered", "1.2.3"))
        assert original.outcome == Outcome.NO_MATCH
        project.warehouse("late", image("example/redelivered"))
        until(
            "the Warehouse is in the cache",
            lambda: pushed(product, project, push_body("example/redelivered", "not-a-version")).verdicts,
        )

        redelivery = redeliver(original, "ada")
        assert redelivery.outcome == Outcome.PENDING
        done = wait_for_result(str(redelivery.pk))
        assert (done.outcome, done.origin, done.actor, done.tag) == (
            "refreshed",
            "redelivery",
            "ada",
            "1.2.3",
        )
        assert done.original_id == original.pk
        assert list(original.redeliveries.values_list("pk", flat=True)) == [redelivery.pk]
        token = parse_time(project.token("late"))
        assert token is not None
        assert token > redelivery.received_at
        assert bytes(done.body) == push_body("example/redelivered", "1.2.3")
        assert done.push_id == done.pk

    def test_a_delivery_to_an_old_url_can_be_redelivered_after_the_secret_was_rotated(self, product, world):
        project = routed_project(product, world, image("example/rotated"))
        project.publish("hook", secret="another")
        old = rejected_delivery(product, project.path(), push_body("example/rotated", "2.0.0"))
        assert (old.repository, old.tag) == ("example/rotated", "2.0.0")
        done = wait_for_result(str(redeliver(old, "ada").pk))
        assert done.outcome == Outcome.REFRESHED
        assert project.token() == done.refreshes.get().token

    def test_a_redelivery_fails_if_the_receiver_no_longer_exists(self, product, world):
        project = routed_project(product, world, image("example/gone"))
        original = pushed(product, project, push_body("example/gone"))
        project.publish("renamed")
        # Until the URL is rejected, each of these pushes refreshes the Warehouse.
        rejected_delivery(product, project.path(), push_body("example/gone", "2.0.0"))
        before = project.token()
        done = wait_for_result(str(redeliver(original, "ada").pk))
        assert done.outcome == Outcome.RETIRED_URL
        assert done.reason.startswith(
            "not evaluated: the receiver no longer exists; it would have refreshed "
        )
        assert project.token() == before

    def test_a_delivery_whose_body_was_too_large_cannot_be_redelivered(self, product, world):
        project = routed_project(product, world)
        with pytest.raises(NotRedeliverable, match="its body was too large to be stored"):
            redeliver(pushed(product, project, b" " * (MAX_BODY + 1)), "ada")

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            (
                {"kind": "ecr", "outcome": "unsupported_kind", "body": b"{}"},
                "does not support ecr receivers",
            ),
            ({"outcome": "pending", "body": b"{}"}, "it is still in progress"),
            ({"outcome": "invalid_body", "body": b""}, "its body is empty or incomplete"),
            ({"origin": "test", "outcome": "test_passed", "body": b"{}"}, "it is a test"),
            ({"outcome": "test_refused", "body": b"{}"}, "it is a test"),
        ],
        ids=["another kind", "not ended", "no body", "a test", "an invalid test"],
    )
    def test_the_error_says_why_a_delivery_cannot_be_redelivered(self, database, fields, sentence):
        # Claimed, so that no serving process recovers it.
        (row,) = store(delivery(unique_name(), due_at=timezone.now() + timedelta(days=1), **fields))
        with pytest.raises(NotRedeliverable, match=sentence):
            redeliver(row, "ada")
        assert not row.redeliveries.exists()


@pytest.mark.usefixtures("database")
class TestManyDeliveries:
    def test_the_oldest_is_redelivered_first_and_each_push_once(self):
        project, push = unique_name(), uuid.uuid4()
        rows = store(
            failed_delivery(project, 1),
            failed_delivery(project, 2, push_id=push),
            failed_delivery(project, 3, push_id=push),
            failed_delivery(project, 4, outcome=Outcome.FREIGHT_CREATED),
            failed_delivery(project, 5, outcome=Outcome.NOT_HANDLED),
        )
        batch = redeliver_all(delivery_filter(project=project, **FAILURES), "ada", rate=2)
        assert [original.pk for original in batch.originals] == [rows[0].pk, rows[2].pk, rows[4].pk]
        assert [redelivery.original_id for redelivery in batch.deliveries] == [
            rows[0].pk,
            rows[2].pk,
            rows[4].pk,
        ]
        stored = Delivery.objects.filter(project=project, origin=Origin.REDELIVERY).order_by("due_at")
        assert [row.pk for row in stored] == [redelivery.pk for redelivery in batch.deliveries]
        first, *later = (row.due_at for row in stored if row.due_at)
        assert [time - first for time in later] == [timedelta(seconds=0.5), timedelta(seconds=1)]

    def test_redeliveries_are_scheduled_at_the_rate(self):
        project = unique_name()
        store(*(failed_delivery(project, number) for number in range(3)))
        batch = redeliver_all(DeliveryFilter(project=project), "ada", rate=0.1)
        soon = timezone.now() + timedelta(seconds=5)
        due = due_deliveries(soon).filter(project=project)
        assert [row.pk for row in due] == [batch.deliveries[0].pk]

    def test_a_redelivered_delivery_is_not_selected_again(self):
        project = unique_name()
        store(failed_delivery(project))
        failures = delivery_filter(project=project, **FAILURES)
        assert len(redeliver_all(failures, "ada").deliveries) == 1
        assert redeliver_all(failures, "ada").deliveries == ()

    def test_tests_and_what_can_never_succeed_are_left_out(self):
        project = unique_name()
        [failed, *_] = store(
            failed_delivery(project, 1),
            failed_delivery(project, 2, origin=Origin.TEST),
            failed_delivery(project, 3, outcome=Outcome.TEST_REFUSED),
            failed_delivery(project, 4, outcome=Outcome.INVALID_BODY),
            failed_delivery(project, 5, outcome=Outcome.TOO_LARGE, body=b""),
            failed_delivery(project, 6, outcome=Outcome.UNSUPPORTED_KIND, kind="ecr"),
        )
        batch = redeliver_all(DeliveryFilter(project=project), "ada", dry_run=True)
        assert (batch.originals, batch.refused, batch.more) == ((failed,), (), False)

    def test_a_dry_run_stores_nothing(self):
        project = unique_name()
        rows = store(failed_delivery(project, 1), failed_delivery(project, 2, body=b""))
        batch = redeliver_all(DeliveryFilter(project=project), "ada", dry_run=True)
        assert [original.pk for original in batch.originals] == [rows[0].pk]
        assert list(batch.refused) == [(rows[1], "its body is empty or incomplete")]
        assert batch.deliveries == ()
        assert Delivery.objects.filter(project=project).count() == 2

    def test_the_number_per_call_is_limited_and_the_next_call_continues(self):
        project = unique_name()
        store(*(failed_delivery(project, number) for number in range(MOST_AT_ONCE + 3)))
        failures = delivery_filter(project=project, **FAILURES)
        first, second = redeliver_all(failures, "ada"), redeliver_all(failures, "ada")
        assert [(len(batch.deliveries), batch.more) for batch in (first, second)] == [
            (MOST_AT_ONCE, True),
            (3, False),
        ]

    @pytest.mark.parametrize("rate", [0, 0.05, 1000, float("nan")])
    def test_a_rate_out_of_range_is_an_error(self, rate):
        with pytest.raises(ValueError, match=r"from 0\.1 to 100 per second"):
            redeliver_all(DeliveryFilter(), "ada", rate=rate)


def test_a_double_click_redelivers_each_delivery_once(database):
    project = unique_name()
    store(*(failed_delivery(project, number, tag=str(number)) for number in range(200)))
    barrier = threading.Barrier(2)

    def click():
        barrier.wait(PATIENCE)
        batch = redeliver_all(delivery_filter(project=project, **FAILURES), "ada")
        connection.close()
        return batch

    with ThreadPoolExecutor(2) as pool:
        batches = list(pool.map(lambda _: click(), range(2)))
    assert Delivery.objects.filter(project=project, origin=Origin.REDELIVERY).count() == 200
    assert sum(len(batch.deliveries) for batch in batches) == 200
    for batch in batches:
        assert [redelivery.original_id for redelivery in batch.deliveries] == [
            original.pk for original in batch.originals
        ]
