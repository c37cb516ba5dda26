"""Deliveries to cluster receivers in the lists of the projects that they concern, reduced to these."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.accounts.roles import access_from_groups
from receivers.deliveries import visibility
from receivers.deliveries.bounded_scan import PORTIONS
from receivers.deliveries.cluster_pushes import MOST_PROJECTS, project_deliveries
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.redelivery import redeliver_all
from receivers.models import Delivery, Outcome, ProjectDelivery, Refresh
from tests.deliveries.rows import delivery, delivery_filter, store, unique_name

pytestmark = pytest.mark.usefixtures("database")


def cluster_push(seconds: float = 0, *, refreshed: dict[str, str] | None = None, **fields: Any) -> Delivery:
    """Store a delivery to a cluster receiver that refreshed a Warehouse of each project, with this outcome.

    A project without an outcome is concerned, but its subscription does not match.
    """
    [row] = store(delivery("", seconds, **({"outcome": Outcome.DISCOVERY_FAILED, "status": 200} | fields)))
    projects = refreshed or {}
    ProjectDelivery.objects.bulk_create(project_deliveries(row, projects))
    Refresh.objects.bulk_create(
        Refresh(
            delivery=row, project=project, warehouse="web", outcome=outcome, reason=f"{project}: {outcome}"
        )
        for project, outcome in projects.items()
        if outcome
    )
    return row


def listed(wanted: DeliveryFilter, **options: Any) -> list[Delivery]:
    return list(delivery_log().page(wanted, **options).rows)


@pytest.fixture
def own() -> str:
    return unique_name()


@pytest.fixture
def other() -> str:
    return unique_name()


@pytest.fixture
def push(own, other) -> Delivery:
    """A push whose refresh failed in another project only."""
    return cluster_push(refreshed={own: "freight_created", other: "discovery_failed"})


def test_a_push_to_a_cluster_receiver_is_in_the_list_of_a_project_reduced_to_it(own, other, push):
    [newer] = store(delivery(own, 1, outcome=Outcome.NO_MATCH))
    for wanted in (DeliveryFilter(project=own), DeliveryFilter(seen=frozenset({own}))):
        first, second = listed(wanted)
        assert (first.pk, second.pk) == (newer.pk, push.pk)
        assert (second.outcome, second.reason) == ("freight_created", f"{own}: freight_created")
        assert second.warehouses == 1
    [row] = listed(DeliveryFilter(project=other))
    assert row.outcome == "discovery_failed"
    assert listed(DeliveryFilter(project=unique_name())) == []


def test_who_sees_everything_sees_it_whole(own, push):
    [row] = listed(DeliveryFilter(push=push.push_id))
    assert row.outcome == "discovery_failed"
    [row] = listed(DeliveryFilter(project="", push=push.push_id))
    assert row.outcome == "discovery_failed"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"outcome": "good"}, True),
        ({"outcome": "bad"}, False),
        ({"tag": "1.0.0"}, True),
        ({"tag": "2.0.0"}, False),
        ({"repository": "example/app"}, True),
        ({"receiver": "hook"}, True),
        ({"receiver": "another"}, False),
        ({"warehouse": "web"}, True),
        ({"warehouse": "api"}, False),
        ({"status": "2xx"}, True),
        ({"status": "4xx"}, False),
        ({"text": "example/app:1"}, True),
        ({"text": "whole reason"}, False),
        ({"origin": "test"}, False),
    ],
    ids=str,
)
def test_filters_compare_what_concerns_the_project(own, other, values, expected):
    push = cluster_push(refreshed={own: "freight_created", other: "not_handled"}, reason="whole reason")
    for wanted in (delivery_filter(project=own, **values), delivery_filter(**values)):
        rows = listed(replace(wanted, seen=frozenset({own})))
        assert [row.pk for row in rows] == ([push.pk] if expected else [])


def test_a_warehouse_of_another_project_cannot_be_found(own, other):
    push = cluster_push(refreshed={own: "freight_created", other: "freight_created"})
    Refresh.objects.filter(delivery=push, project=other).update(warehouse="secret")
    for warehouse in ("secret", f"{other}/secret", f"{other}/web"):
        wanted = replace(delivery_filter(warehouse=warehouse), seen=frozenset({own}))
        assert listed(wanted) == []


def test_a_push_that_matched_nothing_in_the_project_is_no_match(own, other):
    push = cluster_push(refreshed={own: "", other: "freight_created"}, outcome=Outcome.FREIGHT_CREATED)
    [row] = listed(delivery_filter(project=own, outcome="no_match"))
    assert (row.pk, row.reason) == (push.pk, "no subscription of the project matches this push")


@pytest.mark.parametrize("count", [PORTIONS[0] + 1, sum(PORTIONS) + 1])
def test_pages_are_complete(own, count):
    rows = [delivery("", seconds // 3, outcome=Outcome.NO_MATCH) for seconds in range(count)]
    store(*rows)
    ProjectDelivery.objects.bulk_create(entry for row in rows for entry in project_deliveries(row, [own]))
    wanted, read, after = DeliveryFilter(project=own), [], ""
    while True:
        page = delivery_log().page(wanted, size=100, after=after)
        read += [row.pk for row in page.rows]
        after = page.next
        if not after:
            break
    newest_first = sorted(rows, key=lambda row: (row.received_at, row.pk), reverse=True)
    assert read == [row.pk for row in newest_first]


def test_only_the_newest_delivery_of_a_push_is_listed(own):
    push_id = uuid4()
    rows = [
        cluster_push(seconds, refreshed={own: "freight_created"}, push_id=push_id) for seconds in range(3)
    ]
    assert [row.pk for row in listed(DeliveryFilter(project=own))] == [rows[-1].pk]
    assert len(listed(DeliveryFilter(project=own), each_push_once=False)) == 3


def test_readers_of_many_projects_see_the_pushes_of_all_of_them(own, other):
    # Later than those of other tests: one bounded scan covers all projects.
    push = cluster_push(80_000, refreshed={own: "freight_created", other: "not_handled"})
    cluster_push(80_001, refreshed={other: "freight_created"})
    seen = frozenset({own, *(unique_name() for _ in range(MOST_PROJECTS))})
    [row] = listed(DeliveryFilter(seen=seen))
    assert (row.pk, row.outcome, row.warehouses) == (push.pk, "freight_created", 1)


def test_a_list_takes_a_bounded_number_of_statements(own):
    for seconds in range(PORTIONS[0] + 10):
        cluster_push(seconds, refreshed={own: "freight_created"})
    with CaptureQueriesContext(connection) as queries:
        assert len(listed(delivery_filter(project=own, outcome="good"))) == 50
    assert len(queries) <= 8


def test_it_is_not_redelivered_with_a_project(own, push):
    store(delivery(own, outcome=Outcome.FAILED, body=b"{}"))
    batch = redeliver_all(DeliveryFilter(project=own), "ada", dry_run=True)
    assert [row.project for row in batch.originals] == [own]


def test_the_details_are_reduced_to_the_projects_of_the_reader(own, other):
    verdict = {"result": "match", "reason": "it matches"}
    push = cluster_push(
        refreshed={own: "freight_created", other: "not_handled"},
        verdicts=[verdict | {"project": other}, verdict | {"project": own}],
        answer="refreshed 2 warehouse(s)",
        headers=[["Host", "hooks"]],
        body=b"{}",
        client_address="203.0.113.7",
        details={"commit": "c0ffee", "files": ["secret/plan.yaml"], "files_left_out": 1, "actions": [{}]},
    )
    access = access_from_groups([f"viewer:{own}"])
    row = visibility.find(access, push.pk)
    assert row is not None
    details = visibility.details(access, row)
    assert details.reduced
    assert [refresh.project for refresh in details.refreshes] == [own]
    assert [verdict["project"] for verdict in details.verdicts] == [own]
    row = details.delivery
    assert (row.outcome, row.warehouses, row.answer) == ("freight_created", 1, "")
    assert (row.headers, bytes(row.body), row.client_address) == ([], b"", "")
    assert row.details == {"commit": "c0ffee"}
    assert visibility.find(access_from_groups([f"viewer:{unique_name()}"]), push.pk) is None
    everything = access_from_groups(["viewer"])
    assert not visibility.details(everything, Delivery.objects.get(pk=push.pk)).reduced
