"""The lookups of the search: each uses an index, and reads a bounded number of rows."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from receivers.deliveries import search_queries
from receivers.models import Refresh
from tests.deliveries.rows import delivery, store, unique_name

pytestmark = pytest.mark.usefixtures("database")

DIGEST = "sha256:" + "0123456789abcdef" * 4
LOOKUPS: dict[str, Callable[[], Any]] = {
    "an artifact": lambda: search_queries.by_artifact("acme/app", "1.0.0"),
    "a repository": lambda: search_queries.by_artifact("acme/app", ""),
    "commits": lambda: search_queries.by_artifact("github.com/acme/app", "main"),
    "a repository of Git": lambda: search_queries.by_artifact("github.com/acme/app", ""),
    "a tag": lambda: search_queries.by_tag("1.0.0"),
    "an id": lambda: search_queries.by_id(str(uuid.uuid4())),
    "a digest": lambda: search_queries.refreshes_by_digest(DIGEST, None),
    "a short digest": lambda: search_queries.refreshes_by_digest("0123456", None),
    "an alias": lambda: search_queries.refreshes_by_freight("calm-lemur", None),
    "a name of Freight": lambda: search_queries.refreshes_by_freight("0123456789abcdef", None),
}


@pytest.mark.parametrize("name", LOOKUPS)
@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
)
def test_a_lookup_searches_an_index(name):
    statements = []

    def record(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        LOOKUPS[name]()
    assert statements
    for sql, params in statements:
        assert "LIMIT" in sql or '"id" =' in sql
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = [row[3] for row in cursor.fetchall()]
        assert plan
        reading = [step for step in plan if step.startswith(("SCAN", "SEARCH"))]
        # `named` has the names that the statement itself lists.
        assert all(
            step.startswith(("SEARCH", "SCAN named", "SCAN 2 CONSTANT")) or "CONSTANT" in step
            for step in reading
        ), (sql, plan)


@pytest.mark.parametrize("text", ["", "012345", "not-hex", "sha256:", "SHA256", "g" * 12])
def test_what_is_no_digest_is_not_looked_up(text):
    assert search_queries.refreshes_by_digest(text, None) == []


def test_the_start_of_a_digest_finds_only_digests_that_start_with_it():
    [row] = store(delivery(unique_name(), push_id=uuid.uuid4()))
    start = uuid.uuid4().hex
    wanted = f"sha256:{start}{'0' * 32}"
    other = f"sha256:{start[:-1]}{'f' if start[-1] != 'f' else '0'}{'0' * 32}"
    for number, digest in enumerate((wanted, other)):
        Refresh.objects.create(delivery=row, project="shop", warehouse=f"w-{number}", digest=digest)
    assert [each.warehouse for each in search_queries.refreshes_by_digest(start, None)] == ["w-0"]
    assert {each.warehouse for each in search_queries.refreshes_by_digest(start[:-1], None)} == {"w-0", "w-1"}
