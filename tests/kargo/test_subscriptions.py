"""Decoding subscriptions: shared memory, the indexed repository, and no errors for any JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receivers.kargo.subscription_fields import CHART_FIELDS, GIT_FIELDS, IMAGE_FIELDS
from receivers.kargo.subscriptions import decode_subscription


def image(**fields):
    return {"image": {"repoURL": "example/repo", **fields}}


@pytest.mark.parametrize(
    "raw",
    [
        image(constraint="^1.0.0", strictSemvers=True),
        image(imageSelectionStrategy="Lexical", allowTagsRegexes=["^v"]),
        {"chart": {"repoURL": "oci://docker.io/example/repo", "semverConstraint": "^1"}},
    ],
    ids=["versions", "expressions", "chart"],
)
def test_equal_subscriptions_share_their_selector_and_texts(raw):
    first, second = decode_subscription(raw), decode_subscription(raw)
    assert first.selector is second.selector
    assert first.repo_url is second.repo_url
    assert first.repository is second.repository


@pytest.mark.parametrize(
    ("raw", "repository"),
    [
        (image(repoURL="docker.io/library/nginx"), "nginx"),
        ({"chart": {"repoURL": "oci://registry-1.docker.io/A/b"}}, "a/b"),
        ({"git": {"repoURL": "https://GitHub.com/a/b.git"}}, "https://github.com/a/b"),
        ({"image": {"REPOurl": "example/repo"}}, "example/repo"),
        (image(constraint=5), "example/repo"),
        ({"image": {}}, ""),
        ({"image": None}, ""),
        ({"Image": {"repoURL": "example/repo"}}, ""),
        ({"acme": {"repoURL": "example/repo"}}, ""),
    ],
    ids=str,
)
def test_a_subscription_is_indexed_under_the_same_repository_as_in_kargo(raw, repository):
    assert decode_subscription(raw).repository == repository


def test_the_name_is_next_to_the_kind():
    decoded = decode_subscription({"name": "app", **image()})
    assert (decoded.kind, decoded.name, decoded.repo_url) == ("image", "app", "example/repo")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from([*IMAGE_FIELDS, *CHART_FIELDS, *GIT_FIELDS, "REPOURL", "x"])
KINDS = st.sampled_from(["image", "chart", "git", "name", "acme"])
SUBSCRIPTIONS = VALUES | st.dictionaries(
    KINDS, VALUES | st.dictionaries(FIELDS, VALUES, max_size=4), max_size=2
)


@given(SUBSCRIPTIONS, st.text(min_size=1, max_size=10))
def test_any_json_is_decoded_and_can_evaluate_tags(raw, tag):
    decision = decode_subscription(raw).selector.evaluate(tag)
    assert decision.rule
    assert decision.reason
