"""Proposals that make a subscription select a tag that it rejects."""

from __future__ import annotations

from typing import Any

import pytest

from receivers.kargo.subscriptions import decode_subscription
from receivers.web.loosening import FieldChange, loosen

NIGHTLY = {"imageSelectionStrategy": "Lexical", "allowTagsRegexes": [r"^nightly-\d{8}$"]}


def image(**fields: Any):
    return decode_subscription({"image": {"repoURL": "example/app", **fields}})


def chart(constraint: str):
    url = "oci://registry-1.docker.io/example/app"
    return decode_subscription({"chart": {"repoURL": url, "semverConstraint": constraint}})


@pytest.mark.parametrize(
    ("constraint", "tag", "loosened"),
    [
        ("^4.0.0", "5.0.0", "^4.0.0 || ^5.0.0"),
        ("^4.0.0", "5.2.3", "^4.0.0 || ^5.0.0"),
        ("^4.0.0", "3.9.0", "^4.0.0 || ^3.0.0"),
        (">=2.4.0 <3.0.0", "3.1.0", ">=2.4.0 <3.0.0 || ^3.0.0"),
        ("~0.3", "0.5.2", "~0.3 || ~0.5.0"),
        ("0.0.5", "0.0.9", "0.0.5 || =0.0.9"),
        ("^4.0.0", "4.1.0-rc.1", "^4.0.0 || ^4.1.0-rc.1"),
        ("^4.0.0", "5.0.0-rc.1", "^4.0.0 || ^5.0.0-rc.1"),
    ],
)
def test_a_constraint_gets_an_alternative_that_admits_the_version(constraint, tag, loosened):
    subscription = image(constraint=constraint)
    proposal = loosen(subscription, tag)
    assert proposal is not None
    assert proposal.changes == (FieldChange("constraint", constraint, loosened),)
    assert image(constraint=loosened).selector.evaluate(tag).matches


def test_a_chart_has_a_constraint_of_another_name():
    proposal = loosen(chart("^1.0.0"), "2.0.0")
    assert proposal is not None
    assert proposal.changes == (FieldChange("semverConstraint", "^1.0.0", "^1.0.0 || ^2.0.0"),)


def test_a_tag_that_no_expression_allows_is_allowed_alone():
    proposal = loosen(image(**NIGHTLY), "weekly-1.0")
    assert proposal is not None
    assert proposal.changes == (
        FieldChange("allowTagsRegexes", [r"^nightly-\d{8}$"], [r"^nightly-\d{8}$", r"^weekly-1\.0$"]),
    )
    assert proposal.consequences == ("It also admits weekly-1.0, and no other tag.",)
    assert not proposal.selector.evaluate("weekly-100").matches


@pytest.mark.parametrize("expression", [r"^1\.2\.3$", r"^1[.]2[.]3$"])
def test_a_rule_that_ignores_only_this_tag_is_removed(expression):
    proposal = loosen(image(constraint="^1.0.0", ignoreTagsRegexes=[expression, "x"]), "1.2.3")
    assert proposal is not None
    assert proposal.changes == (FieldChange("ignoreTagsRegexes", [expression, "x"], ["x"]),)


@pytest.mark.parametrize("expression", [r"^1\.2", "1.2.3", "^1.2.3$", "rc|1"])
def test_a_rule_that_may_ignore_other_tags_stays(expression):
    assert loosen(image(constraint="^1.0.0", ignoreTagsRegexes=[expression]), "1.2.3") is None


def test_several_rules_that_reject_a_tag_are_changed_together():
    rules = {"constraint": "^4.0.0", "strictSemvers": True, "ignoreTagsRegexes": ["^v5$"]}
    proposal = loosen(image(**rules), "v5")
    assert proposal is not None
    assert [change.field for change in proposal.changes] == [
        "ignoreTagsRegexes",
        "strictSemvers",
        "constraint",
    ]
    assert proposal.changes[0].after is None


@pytest.mark.parametrize(
    ("fields", "tag"),
    [
        ({"constraint": "^4.0.0"}, "4.2.0"),
        ({"constraint": "^4.0.0"}, ""),
        ({"constraint": "^4.0.0"}, "latest"),
        ({"constraint": "not valid"}, "1.0.0"),
        ({"imageSelectionStrategy": "Digest", "constraint": "latest"}, "1.0.0"),
        ({"imageSelectionStrategy": "Lexical", "allowTags": "^v"}, "1.0.0"),
        ({"constraint": " || ".join(["^1.0.0"] * 32)}, "2.0.0"),
    ],
    ids=[
        "selected",
        "no tag",
        "no version",
        "broken",
        "another tag is tracked",
        "one expression",
        "too long",
    ],
)
def test_where_nothing_is_to_be_changed_or_no_way_is_safe_there_is_no_proposal(fields, tag):
    assert loosen(image(**fields), tag) is None


def test_it_says_which_other_tags_would_match():
    subscription = image(constraint="^4.0.0")
    proposal = loosen(subscription, "5.0.0")
    assert proposal is not None
    tags = ("5.1.0", "4.0.1", "6.0.0", "5.0.0-rc.1", "5.9.9", "latest")
    assert proposal.also_selects(tags, subscription) == ("5.1.0", "5.9.9")
