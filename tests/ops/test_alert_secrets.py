"""A channel can keep its address in a Kubernetes Secret that is meant for it."""

from __future__ import annotations

import base64

import pytest

from receivers.kargo.resources import SECRETS
from receivers.models import AlertChannel, ChannelKind
from receivers.ops.alerts.kubernetes_secrets import LABEL, SecretLookup
from receivers.ops.alerts.sending import Destination, NoDestination
from tests.deliveries.rows import unique_name


@pytest.fixture
def project(world):
    return world.bare_project().name


@pytest.fixture
def look_up(world):
    return SecretLookup(lambda: world.cluster, "kargo-system-resources")


def secret(world, namespace: str, labels: dict[str, str], **data: str) -> str:
    name = unique_name()
    body = {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "data": {
            key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()
        },
    }
    world.create(SECRETS, body, namespace)
    return name


def channel(project: str, name: str, kind: ChannelKind = ChannelKind.WEBHOOK) -> AlertChannel:
    return AlertChannel(project=project, name="team", kind=kind, secret=name)


def test_a_labeled_secret_has_the_destination(world, project, look_up):
    name = secret(
        world,
        project,
        {LABEL: "true"},
        url="https://example.com/x\n",
        signing_key="whsec_x",
        to="a@example.com",
    )
    assert look_up(channel(project, name)) == Destination("https://example.com/x", "whsec_x")
    assert look_up(channel(project, name, ChannelKind.EMAIL)).address == "a@example.com"


@pytest.mark.parametrize("labels", [{}, {LABEL: "false"}], ids=["no label", "another value"])
def test_other_secrets_of_the_namespace_are_refused(world, project, look_up, labels):
    name = secret(world, project, labels, url="hunter2")
    with pytest.raises(NoDestination, match="doesn't have the label") as refusal:
        look_up(channel(project, name))
    assert "hunter2" not in str(refusal.value)


def test_a_secret_that_is_missing_or_has_no_address_is_named(world, project, look_up):
    with pytest.raises(NoDestination, match="not found"):
        look_up(channel(project, "nothing"))
    name = secret(world, project, {LABEL: "true"}, other="x")
    with pytest.raises(NoDestination, match="has no key url"):
        look_up(channel(project, name))
