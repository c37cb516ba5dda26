"""Reading a push: bounded, by index, whatever the log holds."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection

from receivers.accounts.roles import access_from_groups
from receivers.deliveries import push_record
from receivers.deliveries.push_record import find_push, newest_push, other_pushes, tags_pushed
from receivers.models import Origin, Outcome
from tests.deliveries.rows import delivery, store, unique_name

pytestmark = pytest.mark.usefixtures("database")

EVERYTHING = access_from_groups(["viewer"])


@pytest.fixture
def repository() -> str:
    return f"example/{unique_name()}"


@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
)
@pytest.mark.parametrize("groups", [["viewer"], ["viewer:shop", "viewer:other"]], ids=["all", "some"])
def test_nothing_reads_or_sorts_the_whole_log(groups, repository):
    project, push_id = "shop", uuid.uuid4()
    store(*(delivery(project, n, repository=repository, push_id=push_id) for n in range(3)))
    store(
        delivery("", 4, repository=repository, push_id=push_id), delivery(project, 5, repository=repository)
    )
    statements = []

    def record(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    access = access_from_groups(groups)
    with connection.execute_wrapper(record):
        push = find_push(access, push_id)
        assert push is not None
        other_pushes(access, push)
        newest_push(access, [("no/such", "1.0.0"), (repository, "1.0.0")])
        tags_pushed(access, repository, "1.0.0")
    assert len(statements) <= 16
    for sql, params in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = [row[3] for row in cursor.fetchall()]
        assert not [step for step in plan if step.startswith("SCAN")], (sql, plan)


def test_the_newest_deliveries_of_a_push_are_read_and_more_are_announced(monkeypatch, repository):
    monkeypatch.setattr(push_record, "DELIVERIES_READ", 3)
    push_id = uuid.uuid4()
    rows = store(*(delivery("shop", n, repository=repository, push_id=push_id) for n in range(5)))
    record = find_push(EVERYTHING, push_id)
    assert record is not None
    assert [row.pk for row in record.deliveries] == [row.pk for row in rows[2:]]
    assert record.more


def test_redeliveries_of_redeliveries_belong_to_the_push(repository):
    [first] = store(delivery("shop", repository=repository, outcome=Outcome.FAILED))
    again = {"repository": repository, "origin": Origin.REDELIVERY}
    [second] = store(delivery("shop", 1, original=first, outcome=Outcome.FAILED, **again))
    [third] = store(delivery("shop", 2, original=second, outcome=Outcome.FREIGHT_CREATED, **again))
    assert first.push_id is not None
    record = find_push(EVERYTHING, first.push_id)
    assert record is not None
    assert [row.pk for row in record.deliveries] == [first.pk, second.pk, third.pk]
    assert record.decisive.pk == third.pk
    assert newest_push(EVERYTHING, [(repository, "1.0.0")]) == first.push_id
    assert other_pushes(EVERYTHING, record) == ()


def test_only_visible_tags_are_named(repository):
    store(*(delivery(name, repository=repository, tag=name) for name in ("shop", "other", "shop")))
    store(delivery("shop", repository=repository, tag="test", origin=Origin.TEST))
    assert tags_pushed(access_from_groups(["viewer:shop"]), repository, "1.0.0") == ("shop",)
    assert set(tags_pushed(EVERYTHING, repository, "other")) == {"shop"}
