"""Decoding Kargo's objects: the decoded fields, and no errors for any object of an API server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receivers.kargo.resources import (
    Condition,
    Project,
    PublishedUrl,
    Receiver,
    decode_config,
    decode_project,
    decode_receiver,
    decode_warehouse,
)

CONDITION = {"type": "Ready", "status": "True", "reason": "Synced", "message": "fine"}


def test_a_project_is_decoded():
    assert decode_project({"metadata": {"name": "demo", "resourceVersion": "7"}}) == Project("demo", "7")


def test_a_project_config_is_decoded():
    config = decode_config(
        {
            "metadata": {
                "namespace": "demo",
                "name": "demo",
                "resourceVersion": "7",
                "generation": 2,
                "annotations": {"kargo.akuity.io/refresh": "now"},
            },
            "spec": {"webhookReceivers": [{"name": "hub", "dockerhub": {"secretRef": {"name": "s"}}}]},
            "status": {
                "observedGeneration": 1,
                "lastHandledRefresh": "then",
                "webhookReceivers": [{"name": "hub", "path": "/dockerhub/x", "url": "http://h/dockerhub/x"}],
                "conditions": [CONDITION],
            },
        }
    )
    assert (config.project, config.name, config.resource_version) == ("demo", "demo", "7")
    assert config.generation == 2
    assert (config.refresh_token, config.last_handled_refresh) == ("now", "then")
    assert config.receivers == (Receiver("hub", "dockerhub", "s"),)
    assert config.published == (PublishedUrl("hub", "/dockerhub/x", "http://h/dockerhub/x"),)
    assert config.conditions == (Condition("Ready", "True", "Synced", "fine"),)


def test_the_repr_of_a_published_url_does_not_contain_its_digest():
    assert "dockerhub" not in repr(PublishedUrl("hub", "/dockerhub/x", "http://h/dockerhub/x"))


def test_a_warehouse_is_decoded():
    warehouse = decode_warehouse(
        {
            "metadata": {
                "namespace": "demo",
                "name": "app",
                "uid": "u",
                "resourceVersion": "7",
                "generation": 3,
            },
            "spec": {
                "shard": "east",
                "interval": "5m0s",
                "freightCreationPolicy": "Manual",
                "freightCreationCriteria": {"expression": "true"},
                "subscriptions": [{"image": {"repoURL": "example/repo"}}],
            },
            "status": {
                "lastHandledRefresh": "then",
                "lastFreightID": "f",
                "discoveredArtifacts": {"discoveredAt": "2026-01-01T00:00:00Z"},
                "conditions": [CONDITION],
            },
        }
    )
    assert warehouse.key == ("demo", "app")
    assert (warehouse.shard, warehouse.interval, warehouse.creation_policy) == ("east", "5m0s", "Manual")
    assert (warehouse.criteria, warehouse.last_freight_id) == ("true", "f")
    assert (warehouse.last_handled_refresh, warehouse.discovered_at) == ("then", "2026-01-01T00:00:00Z")
    assert [subscription.repository for subscription in warehouse.subscriptions] == ["example/repo"]


def test_the_default_creation_policy_is_automatic():
    assert decode_warehouse({}).creation_policy == "Automatic"


@pytest.mark.parametrize(
    ("raw", "receiver"),
    [
        ({"name": "a", "github": {"secretRef": {"name": "s"}}}, Receiver("a", "github", "s")),
        (
            {"name": "a", "dockerhub": {"secretRef": {"name": "s"}}, "github": None},
            Receiver("a", "dockerhub", "s"),
        ),
        ({"name": "a", "dockerhub": {}}, Receiver("a", "dockerhub", "")),
        ({"name": "a"}, Receiver("a", "", "")),
        (None, Receiver("", "", "")),
    ],
    ids=str,
)
def test_the_kind_of_a_receiver_is_the_key_besides_name(raw, receiver):
    assert decode_receiver(raw) == receiver


METADATA = ["metadata", "name", "namespace", "generation", "annotations"]
SPEC = ["spec", "webhookReceivers", "subscriptions", "freightCreationCriteria", "dockerhub", "secretRef"]
STATUS = ["status", "conditions", "discoveredArtifacts", "type", "path"]
KEYS = st.sampled_from(METADATA + SPEC + STATUS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JSON))
def test_any_object_is_decoded_without_an_error(raw):
    hash(decode_project(raw))
    hash(decode_config(raw))
    decode_warehouse(raw)
