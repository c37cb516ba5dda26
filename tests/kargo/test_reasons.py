"""The reasons that subscriptions give for a tag, as shown to users."""

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
    (image(), "1.2", 'tag "1.2" is a semantic version (no constraint set)'),
    (lexical(), "nightly", 'tag "nightly" is allowed (no tag rules are set)'),
    (lexical(ignoreTagsRegexes=["-rc"]), "nightly", 'tag "nightly" is allowed (only ignore rules are set)'),
    (lexical(allowTagsRegexes=["^a", "^v"]), "v1", 'tag "v1" matches allowTagsRegexes "^v"'),
    (
        image(imageSelectionStrategy="Digest", constraint="latest"),
        "latest",
        'tag "latest" is the tracked tag',
    ),
    (chart(semverConstraint="^1"), "1.2.3", 'chart version "1.2.3" satisfies ^1'),
    ({"git": {"branch": "dev"}}, "refs/heads/dev", '"dev" is the tracked branch'),
]

REJECTED = [
    (image(constraint="^1.0.0"), "1.2.3-rc1", 'tag "1.2.3-rc1" is a pre-release, which ^1.0.0 excludes'),
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
        'tag "1.2" is not a full semantic version such as 1.2.0, which strictSemvers requires',
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
        'tag "v1" is not the tracked tag, "latest"',
    ),
    (
        image(imageSelectionStrategy="Digest"),
        "v1",
        "the Digest strategy tracks the tag in constraint, which is empty",
    ),
    (
        chart(),
        "1.0.0_b1",
        'chart version "1.0.0_b1" is not a semantic version; '
        "Helm pushes + as _, which Kargo does not convert back for webhooks",
    ),
    ({"git": {}}, "v1", '"v1" is not the tracked branch, "main"'),
    (
        {"git": {"commitSelectionStrategy": "NewestTag"}},
        "v1",
        '"v1" is not a Git tag (refs/tags/...)',
    ),
    ({"acme": {}}, "v1", 'webhooks do not refresh subscriptions of kind "acme"'),
]

INVALID = [
    (
        lexical(allowTagsRegexes=["(?!x)"]),
        'allowTagsRegexes "(?!x)" isn\'t a valid regular expression (RE2): '
        "look-ahead and look-behind are not supported",
    ),
    (
        image(ignoreTagsRegexes=["("]),
        'ignoreTagsRegexes "(" isn\'t a valid regular expression (RE2): missing ): (',
    ),
    (image(allowTags="x"), "allowTags was removed in Kargo 1.11; use allowTagsRegexes instead"),
    (
        image(ignoreTags=["x"]),
        "ignoreTags was removed in Kargo 1.11; use ignoreTagsRegexes instead",
    ),
    (
        image(constraint="newest"),
        'constraint "newest" isn\'t valid: "newest" is not a comparison; use for example ^1.2.0 or >=1.0.0 <2.0.0',
    ),
    (image(constraint="^1 ||"), 'constraint "^1 ||" isn\'t valid: one of its alternatives is empty'),
    (
        image(constraint="^1.0.0-01"),
        'constraint "^1.0.0-01" isn\'t valid: "1.0.0-01" is not a version',
    ),
    (
        lexical(allowTagsRegexes=[r"(?:\PC){1000}x"]),
        'allowTagsRegexes "(?:\\PC){1000}x" cannot be evaluated: too complex',
    ),
    (
        lexical(ignoreTagsRegexes=[f".{{0,900}}{number}" for number in range(10)]),
        'ignoreTagsRegexes ".{0,900}6" cannot be evaluated: too complex',
    ),
    (image(platform="linux"), 'platform "linux" must have the form os/arch, such as linux/amd64'),
    (
        image(imageSelectionStrategy="Newest"),
        'imageSelectionStrategy "Newest" is unknown; use one of Digest, Lexical, NewestBuild, SemVer',
    ),
    (image(repoURL="not an image"), 'repoURL "not an image" is not an image repository'),
    (chart("docker.io/a/b"), 'repoURL "docker.io/a/b" must begin with oci://, https:// or http://'),
    (
        chart("oci://docker.io/A/b"),
        'repoURL "oci://docker.io/A/b" is not an OCI repository; use oci://host/path in lower case',
    ),
    (image(constraint=5), "Kargo cannot decode this subscription: constraint must be a string"),
    (
        {"image": {}, "chart": {}},
        "Kargo cannot decode this subscription: "
        "it must have exactly one kind (image, chart, git, ...) besides name, but it has image, chart",
    ),
    (None, "Kargo cannot decode this subscription: it must be an object"),
]


@pytest.mark.parametrize(("subscription", "tag", "reason"), SELECTED, ids=lambda value: str(value)[:60])
def test_the_reason_for_a_selected_tag_names_the_rule(subscription, tag, reason):
    decision = decode_subscription(subscription).selector.evaluate(tag)
    assert (decision.matches, decision.reason) == (True, reason)


@pytest.mark.parametrize(("subscription", "tag", "reason"), REJECTED, ids=lambda value: str(value)[:60])
def test_the_reason_for_a_rejected_tag_names_the_rule(subscription, tag, reason):
    decision = decode_subscription(subscription).selector.evaluate(tag)
    assert (decision.matches, decision.reason) == (False, reason)


@pytest.mark.parametrize(("subscription", "reason"), INVALID, ids=lambda value: str(value)[:60])
def test_the_reason_for_an_invalid_subscription_is_the_same_for_every_tag(subscription, reason):
    selector = decode_subscription(subscription).selector
    for tag in ("1.0.0", "refs/tags/x"):
        decision = selector.evaluate(tag)
        assert (decision.matches, decision.reason) == (None, reason)


def test_a_long_tag_is_truncated_in_the_reason():
    tag = "v\n" + "1" * 100_000
    decision = decode_subscription(lexical(ignoreTagsRegexes=["^v"])).selector.evaluate(tag)
    assert len(decision.reason) < 200
    assert r"\u000a1" in decision.reason
