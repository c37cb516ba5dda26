"""The API takes what its schema says, and nothing that only looks like it."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from rest_framework.exceptions import ValidationError

from receivers.api.filter_parameters import FILTER_SCHEMAS, MOMENT, filter_form
from receivers.api.queries import (
    BulkRedeliveryQuery,
    FindingQuery,
    LogPageQuery,
    MuteQuery,
    PushQuery,
    PushRefreshQuery,
    StatisticsQuery,
    TestPushQuery,
    WarehouseRefreshQuery,
    filter_of,
)
from receivers.api.wait_view import WaitQuery
from receivers.deliveries.filters import read_moment
from receivers.models import TokenScope
from tests.api.programs import Program
from tests.api.test_schema import FILE

PUSH = {"project": "shop", "repository": "a/b"}


def problems(query: type[Any], values: dict[str, Any]) -> set[str]:
    """Return the names of the invalid fields."""
    given = query(data=values)
    given.is_valid()
    return set(given.errors)


@pytest.mark.parametrize(
    ("query", "values", "field"),
    [
        (TestPushQuery, {"repository": 0.0}, "repository"),
        (TestPushQuery, {"repository": "a/b", "tag": 4.02e16}, "tag"),
        (TestPushQuery, {"repository": "a/b", "media_type": -24259}, "media_type"),
        (TestPushQuery, {"repository": "a/b", "files": [1]}, "files"),
        (TestPushQuery, {"repository": "a/b", "dry_run": 1}, "dry_run"),
        (PushRefreshQuery, PUSH | {"tag": 1.2}, "tag"),
        (WarehouseRefreshQuery, {"project": "shop", "warehouse": 1}, "warehouse"),
        (MuteQuery, {"note": 0}, "note"),
        (BulkRedeliveryQuery, {"filter": {"every": 0}}, "filter"),
        (BulkRedeliveryQuery, {"filter": {"tag": 1}}, "filter"),
        (BulkRedeliveryQuery, {"filter": {}, "rate": "5"}, "rate"),
        (BulkRedeliveryQuery, {"filter": {}, "rate": True}, "rate"),
    ],
)
def test_a_value_of_another_type_is_refused(query, values, field):
    assert problems(query, values) == {field}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (TestPushQuery, {"repository": "a/b", "dryrun": True}),
        (PushRefreshQuery, PUSH | {"dryrun": True}),
        (WarehouseRefreshQuery, {"project": "shop", "warehouse": "api", "dryrun": True}),
        (MuteQuery, {"dryrun": True}),
        (BulkRedeliveryQuery, {"filter": {}, "dryrun": True}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_unknown_name_in_a_body_is_refused(query, values):
    """A misspelled `dry_run` must not do what it was to prevent."""
    assert problems(query, values) == {"dryrun"}


@pytest.mark.parametrize(
    ("query", "values", "field"),
    [
        (TestPushQuery, {"repository": "\xa0"}, "repository"),
        (WaitQuery, {"repository": "a/b", "tag": "\ufeff"}, "tag"),
        (PushRefreshQuery, PUSH | {"tag": "1.0\n"}, "tag"),
        (PushRefreshQuery, PUSH | {"project": "a\x85"}, "project"),
        (PushQuery, PUSH | {"tag": "x" * 250 + " " * 6}, "tag"),
        (WaitQuery, {"repository": "a/b", "tag": "1", "until": " freight"}, "until"),
        (WaitQuery, {"repository": "a/b", "tag": "1", "since": "2 hours"}, "since"),
        (WaitQuery, {"repository": "a/b", "tag": "1", "timeout": "1_0"}, "timeout"),
        (LogPageQuery, {"size": "٥"}, "size"),
        (LogPageQuery, {"size": "5.0"}, "size"),
        (FindingQuery, {"muted": "yes"}, "muted"),
        (StatisticsQuery, {"receiver": "shop/\x1chook"}, "receiver"),
    ],
)
def test_a_text_that_the_pattern_excludes_is_refused(query, values, field):
    assert problems(query, values) == {field}


def test_spaces_around_a_text_are_removed():
    query = PushRefreshQuery(data={"project": " shop ", "repository": "a/b ", "tag": " "})
    query.is_valid(raise_exception=True)
    assert query.validated_data == {"project": "shop", "repository": "a/b", "tag": "", "media_type": ""}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("outcome", "BAD"),
        ("outcome", "bad, open"),
        ("status", "4XX"),
        ("status", "４xx"),
        ("origin", " push"),
        ("warehouse", " shop/api"),
        ("since", "20260301"),
        ("since", "٢h"),
        ("push", "01a21c22ec3a787d898e7da1c0a9c8c4"),
        ("tag", "1.0\n"),
        ("text", "\ufeff"),
        ("every", "yes"),
    ],
)
def test_a_filter_that_its_schema_excludes_is_refused(name, value):
    """Pages take more, such as spaces and capitals, because people type there."""
    with pytest.raises(ValidationError) as refused:
        filter_of(filter_form({name: value}))
    assert set(refused.value.detail) == {name}


def test_the_pattern_of_times_has_every_day_and_nothing_else():
    days = {date(2000, 1, 1) + timedelta(n) for n in range(36525)}
    written = {f"20{y:02}-{m:02}-{d:02}" for y in range(100) for m in range(14) for d in range(33)}
    assert {text for text in written if re.fullmatch(MOMENT, text)} == {day.isoformat() for day in days}


@pytest.mark.parametrize("text", ["99999w", "2026-03-01T09:30:00.123456Z", "2026-03-01T09:30-14:59", "0s"])
def test_what_the_pattern_of_times_has_can_be_read(text):
    assert re.fullmatch(MOMENT, text)
    read_moment(text)


def test_no_pattern_means_something_else_in_other_languages():
    """Python's `\\d` has the digits of all scripts, and `\\0` is not understood everywhere."""
    patterns = re.findall(r"pattern: (.*)", FILE.read_text())
    assert len(patterns) > len(FILTER_SCHEMAS)
    assert [each for each in patterns if r"\d" in each or r"\0" in each or r"\w" in each] == []


def test_an_empty_text_matches_one_alternative_only():
    schemas = yaml.safe_load(FILE.read_text())["components"]["schemas"]
    assert "oneOf" not in schemas["MuteQueryRequest"]["properties"]["note"]


@pytest.mark.parametrize(
    ("schema", "field", "extra"),
    [
        ("Refresh", "outcome", "BlankEnum"),
        ("Receiver", "last_outcome", "NullEnum"),
        ("TestResult", "failed_step", "NullEnum"),
    ],
)
def test_the_schema_says_which_values_may_be_missing(schema, field, extra):
    described = yaml.safe_load(FILE.read_text())["components"]["schemas"][schema]["properties"][field]
    assert described["oneOf"][1] == {"$ref": f"#/components/schemas/{extra}"}


@pytest.mark.usefixtures("database")
class TestAddresses:
    @pytest.mark.parametrize("path", ["deliveries", "pushes", "findings", "projects", "statistics", "audit"])
    def test_an_unknown_parameter_is_refused(self, product, path):
        """With a misspelled filter, a list would have everything."""
        answer = Program(product, "admin", scope=TokenScope.ADMIN).get(path, 400, outcom="bad")
        assert answer["fields"].keys() == {"outcom"}

    def test_a_misspelled_goal_is_no_success(self, product):
        query = {"repository": "a/b", "tag": "1", "timeout": 0, "utnil": "stage:prod"}
        assert Program(product, "admin").get("pushes/wait", 400, **query)["fields"].keys() == {"utnil"}

    def test_what_belongs_into_the_body_is_refused_in_the_address(self, product):
        program = Program(product, "operator")
        answer = program.post("deliveries/redeliver?dry_run=true", {"filter": {"tag": "none"}}, 400)
        assert answer["fields"].keys() == {"dry_run"}
