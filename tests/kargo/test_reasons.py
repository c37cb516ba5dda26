"""What application developers read: for a subscription and a tag, the sentence and the rule that decided."""

import pytest

from receivers.kargo.subscriptions import decode_subscription


def image(**fields):
    return {"image": {"repoURL": "example/repo", **fields}}


def lexical(**fields):
    return image(imageSelectionStrategy="Lexical", **fields)


def chart(url="oci://docker.io/example/repo", **fields):
    return {"chart": {"repoURL": url, **fields}}


SELECTED = [
    (image(constraint="^1.0.0"), "1.2.3", 'tag "1.2.3" satisfies ^1.0.0'),
    (image(), "1.2", 'tag "1.2" is a semantic version, and any will do'),
    (lexical(), "nightly", 'tag "nightly" is not ignored, and any other tag will do'),
    (lexical(allowTagsRegexes=["^a", "^v"]), "v1", 'tag "v1" matches allowTagsRegexes "^v"'),
    (
        image(imageSelectionStrategy="Digest", constraint="latest"),
        "latest",
        'tag "latest" is the one that is followed',
    ),
    (chart(semverConstraint="^1"), "1.2.3", 'chart version "1.2.3" satisfies ^1'),
    ({"git": {"branch": "dev"}}, "refs/heads/dev", '"refs/heads/dev" is the branch that is followed'),
]

REFUSED = [
    (image(constraint="^1.0.0"), "1.2.3-rc1", 'tag "1.2.3-rc1" is a pre-release and ^1.0.0 admits none'),
    (image(constraint="^1.0.0"), "2.0.0", 'tag "2.0.0" does not satisfy ^1.0.0 (>=1.0.0 <2.0.0)'),
    (image(constraint="~1.2.3-rc"), "1.3.0", 'tag "1.3.0" does not satisfy ~1.2.3-rc (>=1.2.3-rc <1.3.0)'),
    (image(constraint="^0.0.3"), "1.6.0", 'tag "1.6.0" does not satisfy ^0.0.3 (>=0.0.3 <0.0.4)'),
    (image(constraint="1.x"), "2.0.0", 'tag "2.0.0" does not satisfy 1.x (>=1.0.0 <2.0.0)'),
    (image(constraint="!=1.2"), "1.2.3", 'tag "1.2.3" does not satisfy !=1.2'),
    (image(constraint=">=1.0.0 <2.0.0"), "2.5.0", 'tag "2.5.0" does not satisfy <2.0.0 in ">=1.0.0 <2.0.0"'),
    (image(constraint="1.0 - 1.5"), "1.6.0", 'tag "1.6.0" does not satisfy <= 1.5 in "1.0 - 1.5"'),
    (image(constraint="^1 || ^3"), "2.0.0", 'tag "2.0.0" does not satisfy any of ^1 || ^3'),
    (image(), "latest", 'tag "latest" is not a semantic version'),
    (
        image(strictSemvers=True),
        "1.2",
        'tag "1.2" is not a full semantic version like 1.2.0, which strictSemvers asks for',
    ),
    (lexical(allowTagsRegexes=["^a"]), "v1", 'tag "v1" does not match allowTagsRegexes "^a"'),
    (lexical(allowTagsRegexes=["^a", "^b"]), "v1", 'tag "v1" matches none of allowTagsRegexes "^a", "^b"'),
    (
        lexical(allowTagsRegexes=["^a", "^b", "^c", "^d", "^e"]),
        "v1",
        'tag "v1" matches none of allowTagsRegexes "^a", "^b", "^c" and 2 more',
    ),
    (image(ignoreTagsRegexes=["-rc"]), "v1-rc", 'tag "v1-rc" matches ignoreTagsRegexes "-rc"'),
    (
        image(imageSelectionStrategy="Digest", constraint="latest"),
        "v1",
        'tag "v1" is not the one that is followed, "latest"',
    ),
    (
        image(imageSelectionStrategy="Digest"),
        "v1",
        "the Digest strategy follows the tag in constraint, which is empty",
    ),
    (
        chart(),
        "1.0.0_b1",
        'chart version "1.0.0_b1" is not a semantic version; Helm pushes + as _, and Kargo does not turn it back here',
    ),
    ({"git": {}}, "v1", '"v1" is not "refs/heads/main", which a Git subscription follows'),
    (
        {"git": {"commitSelectionStrategy": "NewestTag"}},
        "v1",
        '"v1" is not a Git tag, which begins with refs/tags/',
    ),
    ({"acme": {}}, "v1", 'no push refreshes a subscription of kind "acme"'),
]

BROKEN = [
    (
        lexical(allowTagsRegexes=["(?!x)"]),
        'allowTagsRegexes "(?!x)" is not a regular expression that Kargo takes: '
        "look-ahead and look-behind are not available",
    ),
    (
        image(ignoreTagsRegexes=["("]),
        'ignoreTagsRegexes "(" is not a regular expression that Kargo takes: missing ): (',
    ),
    (image(allowTags="x"), "allowTags is no longer supported since Kargo 1.11; use allowTagsRegexes instead"),
    (
        image(ignoreTags=["x"]),
        "ignoreTags is no longer supported since Kargo 1.11; use ignoreTagsRegexes instead",
    ),
    (
        image(constraint="newest"),
        'constraint "newest" is not a version constraint: "newest" is no comparison like ^1.2.0 or >=1.0.0 <2.0.0',
    ),
    (image(constraint="^1 ||"), 'constraint "^1 ||" is not a version constraint: a part of it is empty'),
    (
        image(constraint="^1.0.0-01"),
        'constraint "^1.0.0-01" is not a version constraint: "1.0.0-01" is not a version',
    ),
    (image(platform="linux"), 'platform "linux" is not of the form os/arch, like linux/amd64'),
    (
        image(imageSelectionStrategy="Newest"),
        'imageSelectionStrategy "Newest" is none of Digest, Lexical, NewestBuild, SemVer',
    ),
    (image(repoURL="not an image"), 'repoURL "not an image" is not an image repository'),
    (chart("docker.io/a/b"), 'repoURL "docker.io/a/b" has to begin with oci://, https:// or http://'),
    (
        chart("oci://docker.io/A/b"),
        'repoURL "oci://docker.io/A/b" is not an OCI repository: it takes oci://host/path in lower case',
    ),
    (image(constraint=5), "Kargo cannot read this subscription: constraint is not text"),
    (
        {"image": {}, "chart": {}},
        "Kargo cannot read this subscription: "
        "beside name it takes exactly one of image, chart, git or another kind, but has image, chart",
    ),
    (None, "Kargo cannot read this subscription: it is not an object"),
]


@pytest.mark.parametrize(("subscription", "tag", "reason"), SELECTED, ids=lambda value: str(value)[:60])
def test_a_selected_tag_says_by_what(subscription, tag, reason):
    judgement = decode_subscription(subscription).selector.judge(tag)
    assert (judgement.matches, judgement.reason) == (True, reason)


@pytest.mark.parametrize(("subscription", "tag", "reason"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_refused_tag_says_which_rule_refused_it(subscription, tag, reason):
    judgement = decode_subscription(subscription).selector.judge(tag)
    assert (judgement.matches, judgement.reason) == (False, reason)


@pytest.mark.parametrize(("subscription", "reason"), BROKEN, ids=lambda value: str(value)[:60])
def test_a_broken_subscription_says_what_is_wrong_whatever_the_tag(subscription, reason):
    selector = decode_subscription(subscription).selector
    for tag in ("1.0.0", "refs/tags/x"):
        judgement = selector.judge(tag)
        assert (judgement.matches, judgement.reason) == (None, reason)


def test_a_sentence_does_not_grow_with_the_tag():
    tag = "v\n" + "1" * 100_000
    judgement = decode_subscription(lexical(ignoreTagsRegexes=["^v"])).selector.judge(tag)
    assert len(judgement.reason) < 200
    assert r"\u000a1" in judgement.reason
