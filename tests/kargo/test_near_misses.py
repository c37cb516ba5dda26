"""Similar repository names share one key, and the reason of a near miss says what to use instead."""

import re

import pytest

from receivers.kargo.coverage import is_never_matched
from receivers.kargo.kinds.dockerhub import compose, parse
from receivers.kargo.matching import MatchResult, verdicts
from receivers.kargo.near_misses import explain_near_miss, suggested_repo_url
from receivers.kargo.push import Push
from receivers.kargo.repository_names import near_key
from receivers.kargo.resources import decode_warehouse
from receivers.kargo.subscriptions import decode_subscription

SIMILAR = {
    "x/y": [
        "x/y",
        "X/Y",
        "x/y/",
        "/x/y",
        "x/y:1.2",
        "docker.io/x/y",
        "docker.io:443/x/y",
        "index.docker.io/x/y",
        "registry-1.docker.io/x/y",
        "https://docker.io/x/y",
        "oci://docker.io/x/y",
        "hub.docker.com/x/y",
        "hub.docker.com/r/x/y",
        "https://hub.docker.com/r/x/y/",
        "https://hub.docker.com/r/x/y/tags?page=1",
        "https://hub.docker.com/repository/docker/x/y/general",
        "registry.hub.docker.com/x/y",
        "https://registry.hub.docker.com/u/x/y/",
        "ghcr.io/x/y",
        "localhost:5000/x/y@sha256:" + "0" * 64,
    ],
    "nginx": [
        "nginx",
        "library/nginx",
        "_/nginx",
        "docker.io/library/nginx",
        "https://hub.docker.com/_/nginx",
    ],
    "": ["", "  ", "/"],
}


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in SIMILAR.items() for name in names])
def test_similar_names_share_a_key(key, name):
    assert near_key(name) == key


@pytest.mark.parametrize("name", ["x/z", "z/x/y", "x", "y", "xy"])
def test_different_names_have_different_keys(name):
    assert near_key(name) != "x/y"


@pytest.mark.parametrize(
    ("pushed", "kind", "repo_url", "hint"),
    [
        (
            "x/y",
            "image",
            "hub.docker.com/r/x/y",
            '"hub.docker.com/r/x/y" is a page of Docker Hub\'s website, not the name of a repository; '
            'use "x/y" instead',
        ),
        (
            "x/y",
            "image",
            "https://x.io/x/y",
            '"https://x.io/x/y" is hosted on x.io; this push went to "x/y" on Docker Hub',
        ),
        ("nginx", "image", "_/nginx", 'pushes never match "_/nginx"; use "nginx" instead'),
        ("x/y", "image", "docker.io:443/x/y", 'pushes never match "docker.io:443/x/y"; use "x/y" instead'),
        (
            "x/y",
            "image",
            "registry.hub.docker.com/x/y",
            'images can be pulled from "registry.hub.docker.com/x/y", but pushes never match this address; '
            'use "x/y" instead',
        ),
        (
            "x/y",
            "image",
            "https://docker.io/x/y",
            '"https://docker.io/x/y" is a URL, not the name of a repository; use "x/y" instead',
        ),
        (
            "x/y",
            "chart",
            "oci://hub.docker.com/r/x/y",
            '"oci://hub.docker.com/r/x/y" is a page of Docker Hub\'s website, not the name of a repository; '
            'use "oci://registry-1.docker.io/x/y" instead',
        ),
        (
            "ghcr.io/x/y",
            "image",
            "x/y",
            '"x/y" is hosted on Docker Hub; this push went to "ghcr.io/x/y"',
        ),
        # The sender is wrong, so that its name is no advice.
        (
            "_/nginx",
            "image",
            "nginx",
            'the sender names the repository "_/nginx", which no valid repoURL matches; it must send "nginx"',
        ),
        (
            "https://hub.docker.com/r/x/y",
            "image",
            "x/y",
            'the sender names the repository "https://hub.docker.com/r/x/y", which no valid repoURL '
            'matches; it must send "x/y"',
        ),
        (
            "x/y/",
            "image",
            "x/y",
            'the sender names the repository "x/y/", which no valid repoURL matches; it must send "x/y"',
        ),
    ],
)
def test_the_reason_of_a_near_miss_says_what_to_use_instead(pushed, kind, repo_url, hint):
    assert explain_near_miss(pushed, kind, repo_url) == hint


@pytest.mark.parametrize("kind", ["image", "chart"])
@pytest.mark.parametrize(
    ("pushed", "repo_url"),
    [(pushed, repo_url) for key in ("x/y", "nginx") for pushed in SIMILAR[key] for repo_url in SIMILAR[key]],
)
def test_a_subscription_with_the_recommended_url_matches_the_push(kind, pushed, repo_url):
    hint = explain_near_miss(pushed, kind, repo_url)
    for instead in re.findall(r'use "([^"]+)" instead', hint):
        subscription = decode_subscription({kind: {"repoURL": instead}})
        assert subscription.repository in Push(pushed, "1.0.0").names
        assert subscription.selector.evaluate("1.0.0").matches


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        ({"image": {"repoURL": "x/y"}}, False),
        ({"image": {"repoURL": "docker.io/X/Y:1"}}, False),
        ({"image": {"repoURL": "library/nginx"}}, False),
        ({"image": {"repoURL": "ghcr.io/x/y"}}, False),
        ({"chart": {"repoURL": "oci://registry-1.docker.io/x/y"}}, False),
        ({"chart": {"repoURL": "https://charts.example.com", "name": "y"}}, False),
        ({"git": {"repoURL": "https://github.com/x/y"}}, False),
        ({"image": {"repoURL": "registry.hub.docker.com/x/y"}}, True),
        ({"image": {"repoURL": "hub.docker.com/r/x/y"}}, True),
        ({"image": {"repoURL": "x/y/"}}, True),
        ({"image": {"repoURL": "_/nginx"}}, True),
        ({"chart": {"repoURL": "oci://registry.hub.docker.com/x/y"}}, True),
    ],
    ids=str,
)
def test_a_repository_of_docker_hub_that_no_push_matches_is_known(subscription, expected):
    decoded = decode_subscription(subscription)
    assert is_never_matched(decoded) is expected
    if expected:
        kind = next(iter(subscription))
        instead = decode_subscription({kind: {"repoURL": suggested_repo_url(kind, decoded.near_key)}})
        assert not is_never_matched(instead)


def results(repository, subscription):
    warehouse = decode_warehouse({"spec": {"subscriptions": [subscription]}})
    push = parse(compose(repository, "1.0.0", media_type="", pusher="", pushed_at=0))
    return [verdict.result for verdict in verdicts(push, [warehouse])]


def test_a_near_miss_does_not_match():
    assert results("x/y", {"image": {"repoURL": "hub.docker.com/r/x/y"}}) == [MatchResult.NEAR_MISS]


@pytest.mark.parametrize(
    "subscription",
    [
        {"git": {"repoURL": "https://github.com/x/y"}},
        {"chart": {"repoURL": "https://charts.example.com/x/y", "name": "z"}},
        {"acme": {"repoURL": "x/y"}},
    ],
    ids=["Git", "classic chart repository", "another kind"],
)
def test_repositories_outside_docker_hub_are_not_near_misses(subscription):
    assert results("x/y", subscription) == []


def test_an_empty_name_has_no_near_misses():
    warehouse = decode_warehouse({"spec": {"subscriptions": [{"image": {"repoURL": ""}}, {"image": {}}]}})
    assert verdicts(Push("", "1.0.0"), [warehouse]) == ()
