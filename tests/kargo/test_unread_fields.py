"""Fields that Kargo ignores are found, with what it reads instead."""

import pytest

from receivers.kargo.subscriptions import decode_subscription
from receivers.kargo.unread_fields import MOST, explain_unread
from tests.cases import cases
from tests.kargo.defaults import with_admission_defaults


def explained(raw):
    subscription = decode_subscription(raw)
    return explain_unread(subscription.kind, subscription.unread, subscription.strategy)


@pytest.mark.parametrize(
    ("field", "instead"),
    [
        ("semverConstraint", "constraint"),
        ("tagSelectionStrategy", "imageSelectionStrategy"),
        ("tagSelection", "allowTagsRegexes"),
        ("strictSemver", "strictSemvers"),
        ("allowTagsRegex", "allowTagsRegexes"),
        ("ignoreTagRegexes", "ignoreTagsRegexes"),
        ("platforms", "platform"),
        ("repo", "repoURL"),
        ("webhook", "spec.webhookReceivers of the ProjectConfig"),
    ],
)
def test_the_field_of_today_is_named(field, instead):
    problem = explained({"image": {"repoURL": "x/y", field: "x"}})
    assert problem == f'Kargo does not read "{field}", use {instead}'


@pytest.mark.parametrize(
    ("subscription", "problem"),
    [
        ({"image": {"repoURL": "x/y", "gitRepoURL": "z"}}, 'Kargo does not read "gitRepoURL"'),
        (
            {"chart": {"repoURL": "oci://x/y", "constraint": "^1"}},
            'Kargo does not read "constraint", use semverConstraint',
        ),
        (
            {"image": {"repoURL": "x/y", "imageSelectionStrategy": "NewestBuild", "constraint": "^1"}},
            "constraint has no effect with imageSelectionStrategy NewestBuild",
        ),
        (
            {
                "image": {
                    "repoURL": "x/y",
                    "imageSelectionStrategy": "Digest",
                    "constraint": "latest",
                    "allowTagsRegexes": ["x"],
                }
            },
            "allowTagsRegexes has no effect with imageSelectionStrategy Digest",
        ),
    ],
)
def test_fields_without_effect_are_explained(subscription, problem):
    assert explained(subscription) == problem


@pytest.mark.parametrize(
    "subscription",
    [
        {"image": {"REPOURL": "x/y", "Constraint": "^1"}},
        {"image": {"repoURL": "x/y", "semverConstraint": "", "strictSemver": None}},
        {"image": {"repoURL": "x/y", "imageSelectionStrategy": "Digest", "constraint": "latest"}},
        {"image": {"repoURL": "x/y", "imageSelectionStrategy": "Lexical", "allowTagsRegexes": ["x"]}},
        {"chart": {"repoURL": "oci://x/y", "semverConstraint": "^1"}},
        {"git": {"repoURL": "https://x/y", "branch": "main"}},
    ],
    ids=str,
)
def test_what_kargo_reads_is_not_reported(subscription):
    assert decode_subscription(with_admission_defaults(subscription)).unread == ()


def test_the_number_of_fields_is_limited():
    many = {f"field{number}": 1 for number in range(1000)}
    assert len(decode_subscription({"image": {"repoURL": "x/y", **many}}).unread) == MOST


def test_the_cases_from_the_field_have_these_unread_fields():
    subscriptions = [
        decode_subscription(raw)
        for case in cases("warehouses")
        for warehouse in case["warehouses"]
        for raw in warehouse["spec"].get("subscriptions") or ()
    ]
    assert {name for subscription in subscriptions for name in subscription.unread} >= {
        "semverConstraint", "tagSelectionStrategy", "tagSelection", "strictSemver", "webhook", "repo", "gitRepoURL",
        "cacheTTL",
    }  # fmt: skip
