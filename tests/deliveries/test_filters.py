"""Parsing a filter from strings, and the error of each field."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from receivers.deliveries.filters import DeliveryFilter, DeliveryFilterForm, named_artifact
from receivers.deliveries.form_fields import form_errors
from receivers.deliveries.outcomes import Tone, tone
from receivers.models import Origin, Outcome
from tests.deliveries.rows import delivery_filter

PUSH = uuid.UUID(int=7)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, DeliveryFilter()),
        ({"project": "", "text": "  ", "page": "7"}, DeliveryFilter()),
        ({"project": "demo", "receiver": "hook"}, DeliveryFilter(project="demo", receiver="hook")),
        ({"project": "cluster"}, DeliveryFilter(project="")),
        ({"project": "-"}, DeliveryFilter(project="-")),
        ({"origin": "redelivery"}, DeliveryFilter(origin=Origin.REDELIVERY)),
        (
            {"outcome": "freight_created, No_Match"},
            DeliveryFilter(outcomes=frozenset({Outcome.FREIGHT_CREATED, Outcome.NO_MATCH})),
        ),
        ({"outcome": "open"}, DeliveryFilter(outcomes=frozenset({Outcome.PENDING, Outcome.REFRESHED}))),
        ({"status": "404"}, DeliveryFilter(status=(404, 404))),
        ({"status": "5XX"}, DeliveryFilter(status=(500, 599))),
        ({"repository": " example/app ", "tag": "1.0"}, DeliveryFilter(repository="example/app", tag="1.0")),
        ({"warehouse": "main"}, DeliveryFilter(warehouse=(None, "main"))),
        ({"warehouse": "demo/main"}, DeliveryFilter(warehouse=("demo", "main"))),
        ({"since": "2h"}, DeliveryFilter(since=NOW - timedelta(hours=2))),
        ({"until": "2026-03-01T09:30"}, DeliveryFilter(until=datetime(2026, 3, 1, 9, 30, tzinfo=UTC))),
        ({"until": "2026-03-01 09:30+02:00"}, DeliveryFilter(until=datetime(2026, 3, 1, 7, 30, tzinfo=UTC))),
        ({"text": "exa"}, DeliveryFilter(text="exa")),
        ({"push": str(PUSH)}, DeliveryFilter(push=PUSH)),
        ({"seen": "shop"}, DeliveryFilter()),
    ],
)
def test_strings_are_parsed_into_a_filter(monkeypatch, values, expected):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    assert DeliveryFilterForm(values).wanted == expected


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("origin", "docker", "origin must be one of push, test, redelivery"),
        (
            "outcome",
            "failed,good,nonsense",
            "outcome must be one or more of these, separated by commas: good, plain",
        ),
        ("status", "600", "status must be a response code such as 404, or a class such as 4xx"),
        ("status", "４04", "status must be a response code"),
        ("warehouse", "/main", "warehouse must be the name of a Warehouse, or project/name"),
        ("warehouse", "demo/", "warehouse must be the name of a Warehouse, or project/name"),
        ("since", "yesterday", "since must be a time such as"),
        ("since", "999999w", "since must be a time such as"),
        ("until", "0001-01-01T00:00+14:00", "until must be a time such as"),
        ("push", "x", "push must be the push_id of a delivery"),
        ("tag", "x" * 256, "tag can have at most 255 characters"),
        ("text", "a\x00b", "text can't contain NUL characters"),
    ],
)
def test_the_error_for_an_invalid_value_names_the_field(field, value, sentence):
    form = DeliveryFilterForm({field: value})
    assert form.wanted is None
    assert [error.startswith(sentence) for error in form_errors(form)] == [True]
    assert set(form.errors) == {field}


def test_a_tone_selects_all_outcomes_with_that_tone():
    assert delivery_filter(outcome="bad").outcomes == {
        outcome for outcome in Outcome if tone(outcome) is Tone.BAD
    }


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("example/repo:1.2.3", ("example/repo", "1.2.3")),
        (" docker.io/example/repo:1.2.3 ", ("example/repo", "1.2.3")),
        ("index.docker.io/example/repo:latest", ("example/repo", "latest")),
        ("library/nginx:1.27", ("library/nginx", "1.27")),
        ("ghcr.io/example/repo:1", ("ghcr.io/example/repo", "1")),
        ("gitlab.com/acme/group/modules:v1.3.0", ("gitlab.com/acme/group/modules", "v1.3.0")),
        ("localhost:3000/acme/shop:feature/cart", ("localhost:3000/acme/shop", "feature/cart")),
        ("github.com:acme/shop:main", ("github.com:acme/shop", "main")),
        (
            "https://github.com/acme/shop.git:refs/heads/main",
            ("https://github.com/acme/shop.git", "refs/heads/main"),
        ),
        ("https://github.com/acme/shop.git", None),
        ("https://example.com:8443/acme", None),
        ("github.com/acme/shop", None),
        ("nginx:1.27", None),
        ("example/repo", None),
        ("example/repo:", None),
        ("10.0.0.1:80", None),
        ("see also: a/b:c d", None),
        ("", None),
    ],
)
def test_the_name_of_a_push_is_split_into_repository_and_tag(text, reference):
    assert named_artifact(text) == reference
