"""Similar repository names share one key, and the reason of a near miss says what to use instead."""

import pytest

from receivers.kargo.kinds.dockerhub import compose, parse
from receivers.kargo.matching import MatchResult, verdicts
from receivers.kargo.near_misses import explain_near_miss
from receivers.kargo.push import Push
from receivers.kargo.repository_names import near_key
from receivers.kargo.resources import decode_warehouse

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
            '"hub.docker.com/r/x/y" is a web page; use "x/y" instead',
        ),
        (
            "x/y",
            "image",
            "https://x.io/x/y",
            '"https://x.io/x/y" is hosted on x.io; this push went to "x/y" on Docker Hub',
        ),
        ("nginx", "image", "_/nginx", 'Kargo does not treat "_/nginx" as "nginx"; use "nginx" instead'),
        (
            "_/nginx",
            "image",
            "nginx",
            'Docker Hub reports the repository as "_/nginx", which Kargo does not treat as "nginx"',
        ),
        (
            "x/y",
            "chart",
            "oci://hub.docker.com/r/x/y",
            '"oci://hub.docker.com/r/x/y" is a web page; use "oci://registry-1.docker.io/x/y" instead',
        ),
    ],
)
def test_the_reason_of_a_near_miss_says_what_to_use_instead(pushed, kind, repo_url, hint):
    assert explain_near_miss(pushed, kind, repo_url) == hint


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
