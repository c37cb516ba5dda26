"""Alerts of a serving process arrive: over HTTP and SMTP, once, across restarts and among replicas."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest

from receivers.deliveries.redelivery import redeliver
from receivers.kargo.resources import WAREHOUSES
from receivers.models import (
    Alert,
    AlertChannel,
    AlertMessage,
    AlertSeverity,
    ChannelKind,
    Delivery,
    Outcome,
    PushFailure,
)
from receivers.ops.alerts.encryption import encrypt
from tests.clusters import until
from tests.databases import temporary_database
from tests.deliveries.rows import unique_name
from tests.delivery_rows import routed_project, verdict_count
from tests.ops.sinks import Received, Sink, http_sink, mail_server
from tests.product import Product
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
FAST = {"KARGOWEB_ALERT_AFTER": "0.2", "KARGOWEB_ALERT_GROUP": "0", "KARGOWEB_ALERT_RATE": "1000"}


@pytest.fixture
def own_database(database) -> Iterator[None]:
    with temporary_database():
        yield


@pytest.fixture
def sink() -> Iterator[Sink]:
    with http_sink() as sink:
        yield sink


def channel(url: str, kind: ChannelKind = ChannelKind.WEBHOOK, project: str = "", **fields) -> AlertChannel:
    values = {"name": unique_name(), "kind": kind, "address": encrypt(url), "created_by": "ada"}
    if kind is ChannelKind.WEBHOOK:
        values["signing_key"] = encrypt(KEY)
    return AlertChannel.objects.create(project=project, **(values | fields))


def is_signed(request: Received) -> bool:
    """Verify a request as the receiver of a Standard Webhook does, with code of its own."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    digest = hmac.new(b"k" * 32, signed, hashlib.sha256).digest()
    return headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def broken_project(product, world):
    """Return a project whose Warehouse has a subscription that can't be evaluated, once nothing of it is news."""
    project = routed_project(product, world, image("example/alerted", constraint="no constraint"))
    wait_until_noted()
    return project


def wait_until_noted() -> None:
    until("all failures are noted", lambda: not PushFailure.objects.exists())


def pushes(sink: Sink, path: str) -> list[dict[str, Any]]:
    return [alert for request in sink.at(path) for alert in request.alerts if alert["kind"] == "push"]


def test_a_failed_push_alerts_each_channel_once_and_again_when_it_succeeds(
    own_database, demo_cluster, world, sink
):
    with mail_server() as (mailbox, mail_url):
        environment = {**FAST, "KARGOWEB_EMAIL_URL": mail_url, "KARGOWEB_EMAIL_FROM": "kargoweb@example.com"}
        with Product(demo_cluster.kubeconfig, **environment) as product:
            project = broken_project(product, world)
            channel(f"{sink.url}/team", project=project.name)
            channel(f"{sink.url}/another-team", project="another-project")
            channel(f"{sink.url}/slack", ChannelKind.SLACK)
            channel("ops@example.com, dev@example.com", ChannelKind.EMAIL)
            response = product.post(project.path(), push_body("example/alerted", "1.2.3"))
            (alert,) = until("the webhook has it", lambda: pushes(sink, "/team"))
            assert (alert["status"], alert["severity"]) == ("firing", "urgent")
            assert alert["title"] == "example/alerted:1.2.3: invalid subscription"
            delivery = Delivery.objects.get(pk=response.headers["X-Kargoweb-Delivery"])
            assert alert["url"].endswith(f"/pushes/{delivery.push_id}")
            until(
                "Slack has it",
                lambda: any("example/alerted:1.2.3" in each.json["text"] for each in sink.at("/slack")),
            )
            mail = until(
                "the mail is there",
                lambda: next((each for each in mailbox.mails if "1.2.3" in each.get_content()), None),
            )
            assert mail["From"] == "kargoweb@example.com"
            assert mailbox.recipients[0] == ["ops@example.com", "dev@example.com"]
            world.cluster.patch(
                WAREHOUSES,
                "warehouse-0",
                project.name,
                {"spec": {"subscriptions": [image("example/elsewhere")]}},
            )
            until("it is known", lambda: verdict_count(product, project, "example/elsewhere"))
            again = redeliver(delivery, "ada")
            until("it ended", lambda: Delivery.objects.filter(pk=again.pk, outcome=Outcome.NO_MATCH).first())
            until(
                "the end is sent",
                lambda: [each for each in pushes(sink, "/team") if each["status"] == "resolved"],
            )
    statuses = [each["status"] for each in pushes(sink, "/team")]
    assert statuses == ["firing", "resolved"]
    assert all(is_signed(request) for request in sink.at("/team"))
    assert sink.at("/another-team") == []
    assert not PushFailure.objects.exists()


def test_a_message_that_was_refused_is_sent_after_a_restart_under_the_same_id(
    own_database, demo_cluster, world, sink
):
    sink.answers = [500]
    with Product(demo_cluster.kubeconfig, **FAST) as product:
        project = broken_project(product, world)
        channel(f"{sink.url}/team", project=project.name, severity=AlertSeverity.URGENT)
        product.post(project.path(), push_body("example/alerted", "3.0.0"))
        until("the first attempt failed", lambda: AlertMessage.objects.filter(attempts=1).first())
        product.kill()
        product.start()
        until("it arrives", lambda: AlertMessage.objects.filter(sent_at__isnull=False).first())
    ids = {request.headers["webhook-id"] for request in sink.at("/team")}
    # A third time if the process was killed when the second one was sent, and not stored yet.
    assert len(sink.at("/team")) in {2, 3}
    assert len(ids) == 1
    assert {alert["title"].partition(": ")[0] for alert in pushes(sink, "/team")} == {"example/alerted:3.0.0"}


def test_one_of_two_replicas_sends(own_database, demo_cluster, world, sink):
    with (
        Product(demo_cluster.kubeconfig, **FAST) as first,
        Product(demo_cluster.kubeconfig, **FAST) as second,
    ):
        project = broken_project(first, world)
        until("both know the receiver", lambda: second.post(project.path(), b"[]").status == 400)
        until("both know the Warehouse", lambda: verdict_count(second, project, "example/alerted"))
        wait_until_noted()
        channel(f"{sink.url}/team", project=project.name)
        tags = [f"4.0.{number}" for number in range(10)]
        for number, tag in enumerate(tags):
            (first, second)[number % 2].post(project.path(), push_body("example/alerted", tag))
        until("all arrive", lambda: len(pushes(sink, "/team")) >= len(tags))
        wait_until_noted()
    titles = sorted(alert["title"].partition(": ")[0] for alert in pushes(sink, "/team"))
    assert titles == [f"example/alerted:{tag}" for tag in tags]


def test_pods_that_serve_receiver_urls_leave_the_sending_to_those_with_pages(
    own_database, demo_cluster, world, sink
):
    with Product(demo_cluster.kubeconfig, **FAST, KARGOWEB_ROLE="receiver") as receiver:
        project = routed_project(receiver, world, image("example/alerted", constraint="no constraint"))
        PushFailure.objects.all().delete()
        channel(f"{sink.url}/team", project=project.name)
        receiver.post(project.path(), push_body("example/alerted", "5.0.0"))
        until("the failure is noted", PushFailure.objects.exists)
        with Product(demo_cluster.kubeconfig, **FAST, KARGOWEB_ROLE="dashboard"):
            until("it is sent", lambda: pushes(sink, "/team"))
    assert [alert["title"] for alert in pushes(sink, "/team")] == [
        "example/alerted:5.0.0: invalid subscription"
    ]


def test_an_unreachable_api_server_alerts_the_channels_for_everything_only(
    own_database, demo_cluster, world, sink
):
    with Product(demo_cluster.kubeconfig, **FAST) as product:
        project = broken_project(product, world)
        channel(f"{sink.url}/all")
        channel(f"{sink.url}/team", project=project.name)
        until("alerts are on", lambda: Alert.objects.filter(scope="").first())
        demo_cluster.stop()
        try:
            until("it is sent", lambda: _about_kargoweb(sink, "firing"))
        finally:
            demo_cluster.start()
        until("the end is sent", lambda: _about_kargoweb(sink, "resolved"))
    assert not any(alert["kind"] == "kargoweb" for each in sink.at("/team") for alert in each.alerts)


def _about_kargoweb(sink: Sink, status: str) -> list[dict[str, Any]]:
    return [
        alert
        for request in sink.at("/all")
        for alert in request.alerts
        if (alert["kind"], alert["status"]) == ("kargoweb", status)
    ]
