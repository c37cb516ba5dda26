"""Figures per hour, rolled up from the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from receivers.deliveries import hourly_figures
from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.deliveries.figures import FigureSpan
from receivers.deliveries.hourly_figures import HOUR, FigureRollUp, bounds_of, bucket_of, hour_of, roll_up
from receivers.deliveries.outcomes import NO_PUSHES
from receivers.models import (
    Delivery,
    FigureScope,
    HourlyFigure,
    Origin,
    Outcome,
    ProjectDelivery,
    Refresh,
    RolledUpHour,
)
from tests.databases import temporary_database
from tests.deliveries.rows import START, delivery, store

THIS: datetime = hour_of(START)


@pytest.fixture(autouse=True)
def empty_log(database: None) -> Iterator[None]:
    """A database of this test alone, because figures count everything."""
    with temporary_database():
        yield


def push(seconds: float = 0, project: str = "shop", **fields: Any) -> Delivery:
    """Store a delivery in the hour `THIS`, by default one that became Freight."""
    at = THIS + timedelta(seconds=seconds)
    values: dict[str, Any] = {"outcome": Outcome.FREIGHT_CREATED, "received_at": at}
    [row] = store(delivery(project, **(values | fields)))
    return row


def freight(row: Delivery, seconds: float, project: str = "shop", **fields: Any) -> None:
    """Store a refresh of a delivery that became Freight after these seconds."""
    values: dict[str, Any] = {"outcome": Outcome.FREIGHT_CREATED, "warehouse": "web"}
    ended_at = row.received_at + timedelta(seconds=seconds)
    Refresh.objects.create(delivery=row, project=project, ended_at=ended_at, **(values | fields))


def figures(
    scope: FigureScope = FigureScope.ALL, project: str = "", receiver: str = "", hour: datetime = THIS
) -> dict[str, int]:
    """Return the stored figures of an hour."""
    rows = HourlyFigure.objects.filter(scope=scope, project=project, receiver=receiver, hour=hour)
    return dict(rows.values_list("measure", "count"))


def test_pushes_are_counted_by_outcome_for_everyone_the_project_and_the_receiver():
    push(), push(1), push(2, outcome=Outcome.NO_MATCH), push(3, "other", outcome=Outcome.FAILED)
    roll_up(THIS)
    assert figures() == {"freight_created": 2, "no_match": 1, "failed": 1}
    assert figures(FigureScope.PROJECT, "shop") == {"freight_created": 2, "no_match": 1}
    assert figures(FigureScope.RECEIVER, "shop", "hook") == {"freight_created": 2, "no_match": 1}
    assert figures(FigureScope.PROJECT, "other") == {"failed": 1}


def test_a_push_to_several_receivers_counts_once_with_the_outcome_that_needs_action():
    push_id = uuid4()
    push(0, push_id=push_id), push(1, "other", push_id=push_id, outcome=Outcome.DISCOVERY_FAILED)
    push(2, push_id=push_id, outcome=Outcome.ALREADY_CURRENT)
    roll_up(THIS)
    assert figures() == {"discovery_failed": 1}
    assert figures(FigureScope.PROJECT, "shop") == {"freight_created": 1}


def test_tests_and_catch_ups_do_not_count():
    push(origin=Origin.TEST), push(outcome=Outcome.TEST_REFUSED), push(origin=Origin.CATCH_UP)
    roll_up(THIS)
    assert figures() == {}


@pytest.mark.parametrize("outcome", sorted(NO_PUSHES))
def test_requests_that_announce_no_push_do_not_count(outcome):
    push(), push(1, outcome=outcome)
    roll_up(THIS)
    assert figures() == {"freight_created": 1}


def test_a_request_that_was_passed_on_is_a_push_of_which_nothing_is_known():
    push(), push(1, outcome=Outcome.FORWARDED)
    roll_up(THIS)
    span = FigureSpan(THIS, THIS + HOUR, figures())
    assert (span.pushes, span.matched, span.became_freight, span.share) == (2, 1, 1, 1.0)


def test_a_project_counts_pushes_to_cluster_receivers_as_its_readers_see_them():
    row = push(project="", outcome=Outcome.DISCOVERY_FAILED)
    ProjectDelivery.objects.bulk_create(project_deliveries(row, ["own", "other", "none"]))
    freight(row, 4, "own")
    freight(row, 9, "other", outcome=Outcome.DISCOVERY_FAILED)
    roll_up(THIS)
    own = figures(FigureScope.PROJECT, "own")
    assert own == {"freight_created": 1, hourly_figures.bucket_measure(bucket_of(4)): 1}
    assert figures(FigureScope.PROJECT, "other") == {"discovery_failed": 1}
    assert figures(FigureScope.PROJECT, "none") == {"no_match": 1}
    assert figures(FigureScope.PROJECT, "")["discovery_failed"] == 1


def test_the_time_to_freight_is_that_of_the_last_warehouse():
    row = push()
    freight(row, 3)
    freight(row, 40, warehouse="api")
    roll_up(THIS)
    assert figures() == {"freight_created": 1, hourly_figures.bucket_measure(bucket_of(40)): 1}


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.11, 4.2, 38, 3600, 86_400])
def test_a_bucket_has_the_seconds_within_its_bounds(seconds):
    lower, upper = bounds_of(bucket_of(seconds))
    assert lower <= seconds <= upper * 1.000001


def test_computing_again_replaces_the_figures_with_the_late_outcome():
    row = push(outcome=Outcome.REFRESHED, ended_at=None)
    roll_up(THIS)
    assert figures() == {"refreshed": 1}
    assert RolledUpHour.objects.get().unfinished == 1
    Delivery.objects.filter(pk=row.pk).update(outcome=Outcome.FREIGHT_CREATED)
    for _ in range(2):
        roll_up(THIS)
        assert figures() == {"freight_created": 1}
    assert RolledUpHour.objects.get().unfinished == 0


def test_a_push_that_is_redelivered_moves_to_the_hour_of_its_newest_delivery():
    row = push(outcome=Outcome.FAILED)
    roll_up(THIS)
    again = timezone.now()
    later = push(push_id=row.push_id, origin=Origin.REDELIVERY, received_at=again)
    assert later.push_id == row.push_id
    roll_up(hour_of(again))
    assert figures(hour=hour_of(again)) == {"freight_created": 1}
    rolling = FigureRollUp(keep_days=90)
    while rolling.work():
        pass
    assert figures() == {}


def test_all_hours_since_the_first_delivery_are_computed_and_then_nothing_is_due():
    push(), push(received_at=THIS - 3 * HOUR)
    rolling, works = FigureRollUp(keep_days=90), 1
    while rolling.work():
        works += 1
    hours = RolledUpHour.objects.count()
    assert hours >= 24 + 3
    assert works < hours / 2  # because the hours between the deliveries are one piece of work
    assert figures() == figures(hour=THIS - 3 * HOUR) == {"freight_created": 1}


def test_an_hour_without_deliveries_left_keeps_its_figures():
    old = THIS - timedelta(days=3)
    row = push(received_at=old), push()
    rolling = FigureRollUp(keep_days=90)
    while rolling.work():
        pass
    Delivery.objects.filter(pk=row[0].pk).delete()
    while rolling.work():
        pass
    assert figures(hour=old) == {"freight_created": 1}


def test_figures_are_deleted_once_no_page_shows_them():
    push(received_at=timezone.now() - 70 * hourly_figures.DAY)
    ancient = hour_of(timezone.now() - 65 * hourly_figures.DAY)
    roll_up(ancient)
    HourlyFigure.objects.create(scope=FigureScope.ALL, hour=ancient, measure="failed", count=1)
    rolling = FigureRollUp(keep_days=2)  # few hours to compute
    while rolling.work():
        pass
    assert not RolledUpHour.objects.filter(hour=ancient).exists()
    assert figures(hour=ancient) == {}


def test_replicas_that_compute_the_same_hour_at_once_store_it_once():
    for number in range(20):
        push(number, project=f"shop-{number % 3}")
    barrier, failures = Barrier(4), []

    def compute() -> None:
        try:
            barrier.wait(30)
            for _ in range(5):
                roll_up(THIS)
        except Exception as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)
        finally:
            connection.close()

    threads = [Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert figures() == {"freight_created": 20}
    assert sum(HourlyFigure.objects.filter(scope=FigureScope.PROJECT).values_list("count", flat=True)) == 20


def test_figures_of_another_replica_that_were_stored_meanwhile_stay(monkeypatch):
    push()
    real = hourly_figures._count

    def slow(hour: datetime) -> Any:
        counts = real(hour)
        push(1)
        monkeypatch.setattr(hourly_figures, "_count", real)
        roll_up(hour)
        return counts

    monkeypatch.setattr(hourly_figures, "_count", slow)
    roll_up(THIS)
    assert figures() == {"freight_created": 2}
