"""Which artifacts of new Freight should have caused a webhook: pure functions."""

from __future__ import annotations

import pytest

from receivers.health.expected_webhooks import (
    delivered_as,
    has_mutable_tag,
    is_new,
    subscription_with_webhook,
)
from receivers.kargo.artifacts import Artifact, Freight
from receivers.kargo.resources import decode_warehouse
from tests.worlds import image

CHART = {"chart": {"repoURL": "oci://registry-1.docker.io/acme/chart"}}
APP = Artifact("image", "acme/app", "1.1.0", "sha256:b")


def warehouse(*subscriptions):
    return decode_warehouse({"metadata": {"name": "main"}, "spec": {"subscriptions": list(subscriptions)}})


def freight(*artifacts: Artifact) -> Freight:
    return Freight("shop", "f", "", "main", None, artifacts)


CASES = [
    (APP, image("docker.io/acme/app"), True),
    (APP, image("acme/web"), False),
    (Artifact("image", "nginx", "1", ""), image("nginx"), False),
    (Artifact("image", "ghcr.io/acme/app", "1", ""), image("ghcr.io/acme/app"), False),
    (Artifact("chart", "acme/chart", "1", ""), CHART, True),
    (Artifact("image", "acme/chart", "1", ""), CHART, False),
]


@pytest.mark.parametrize(("artifact", "subscription", "expected"), CASES)
def test_docker_hub_sends_webhooks_only_for_its_own_unofficial_repositories(artifact, subscription, expected):
    assert bool(subscription_with_webhook(artifact, warehouse(subscription))) is expected


NEW = [
    ([], False),
    ([freight(Artifact("image", "acme/web", "1", ""))], False),
    ([freight(APP)], False),
    ([freight(Artifact("image", "acme/app", "1.0.0", "sha256:a"))], True),
    ([freight(Artifact("image", "acme/app", "1.1.0", "sha256:a"))], True),
    ([freight(Artifact("image", "acme/app", "1.0.0", "sha256:a")), freight(APP)], False),
]


@pytest.mark.parametrize(("earlier", "expected"), NEW)
def test_an_artifact_is_new_if_earlier_freight_has_another_version(earlier, expected):
    assert is_new(APP, earlier) is expected


@pytest.mark.parametrize(("strategy", "expected"), [("Digest", True), ("SemVer", False), ("Lexical", False)])
def test_only_the_digest_strategy_tracks_a_mutable_tag(strategy, expected):
    (subscription,) = warehouse(image("acme/app", imageSelectionStrategy=strategy)).subscriptions
    assert has_mutable_tag(subscription) is expected


def test_a_plus_in_the_version_of_a_chart_is_an_underscore_in_the_tag():
    names, tags = delivered_as(Artifact("chart", "acme/chart", "1.0.0+build", ""))
    assert {"acme/chart", "docker.io/acme/chart"} <= set(names)
    assert tags == ["1.0.0+build", "1.0.0_build"]
