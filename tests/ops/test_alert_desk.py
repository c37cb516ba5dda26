"""The desk: which replica is on duty, what it forgets, and how secrets get a new key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from django.utils import timezone

from receivers.models import (
    Alert,
    AlertChannel,
    AlertDuty,
    AlertSeverity,
    Outcome,
    PushFailure,
    Replica,
    WarehouseEvent,
    new_id,
)
from receivers.ops import runtime
from receivers.ops.alerts.alert_log import Problem, begin
from receivers.ops.alerts.desk import DUTY, AlertDesk
from receivers.ops.alerts.encryption import decrypt, encrypt
from tests.deliveries.rows import delivery, store, unique_name

OTHER_KEY = "another-secret-key-of-more-than-32-characters"


@pytest.fixture
def desk(admin_client) -> Iterator[AlertDesk]:
    """The desk of a process whose background work is not running. Nothing is left of other tests, or for them."""
    _clean()
    yield runtime.current().alerts
    _clean()


def _clean() -> None:
    for model in (AlertChannel, Alert, PushFailure, AlertDuty, WarehouseEvent):
        model.objects.all().delete()


def channel(project: str) -> AlertChannel:
    address = encrypt("http://127.0.0.1:1/")
    return AlertChannel.objects.create(
        project=project, name="team", kind="slack", address=address, created_by="ada"
    )


def failed_push(project: str) -> None:
    (row,) = store(delivery(project, outcome=Outcome.DISCOVERY_FAILED))
    PushFailure.objects.create(delivery=row.pk)


def test_without_channels_notes_are_forgotten_and_alerts_end(desk, project_name):
    failed_push(project_name)
    begin(project_name, [Problem("key", "finding", AlertSeverity.URGENT, project_name, "Title", "", "/")])
    desk.work()
    assert not PushFailure.objects.exists()
    assert Alert.objects.get().end == "expired"
    assert not AlertDuty.objects.exists(), "nobody is on duty for nothing"


def test_the_replica_on_duty_makes_alerts_of_notes(desk, project_name):
    channel(project_name)
    failed_push(project_name)
    desk.work()
    assert Alert.objects.filter(scope=project_name, kind="push").count() == 1


def test_a_replica_leaves_the_duty_to_another_one_until_it_stops(desk, project_name):
    channel(project_name)
    other = Replica.objects.create(
        id=new_id(), host=unique_name(), version="1", started_at=timezone.now(), seen_at=timezone.now()
    )
    AlertDuty.objects.create(pk=DUTY, held_by=other.pk)
    failed_push(project_name)
    try:
        desk.work()
        assert not Alert.objects.filter(kind="push").exists()
        desk.stop()
        assert AlertDuty.objects.get().held_by == other.pk, "it gives up its own duty only"
        AlertDuty.objects.update(held_by=None)  # the other one stopped
        desk.work()
        assert Alert.objects.filter(kind="push").exists()
        desk.stop()
        assert AlertDuty.objects.get().held_by is None
    finally:
        other.delete()


def test_secrets_are_encrypted_with_a_new_key_so_that_the_old_one_can_go(desk, project_name, settings):
    created, old_key = channel(project_name), settings.SECRET_KEY
    with override_settings(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=[old_key]):
        desk.work()
    created.refresh_from_db()
    with override_settings(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=[]):
        assert decrypt(created.address) == "http://127.0.0.1:1/"
