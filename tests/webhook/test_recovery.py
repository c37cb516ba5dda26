"""Pending deliveries are finished by one process, which leaves alone what it has in hand."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.utils import timezone

from receivers.models import Delivery
from receivers.refreshes.leases import ReplicaLease
from receivers.webhook.recovery import RETRY_AFTER, due_deliveries
from tests.clusters import until
from tests.deliveries.rows import delivery


@pytest.fixture
def lease(database):
    """The lease of a process that has just started."""
    lease = ReplicaLease(uuid4(), "test")
    lease.renew()
    return lease


def claimed(lease: ReplicaLease, row: Delivery, *busy: Delivery) -> list[Delivery]:
    """Return what recovery claims of a delivery while the process works on those in `busy`."""
    due = due_deliveries(timezone.now()).filter(pk=row.pk)
    return lease.claim(due, 1, busy={each.pk for each in busy})


def test_a_delivery_in_progress_is_not_claimed_whoever_holds_it_in_the_database(lease):
    for holder in (None, lease.id):
        row = delivery("shop", due_at=None)
        row.held_by = holder
        row.save()
        assert claimed(lease, row, row) == []
        assert claimed(lease, row) == [row]


def test_a_claim_does_not_postpone_the_delivery_in_case_the_process_is_killed(lease):
    row = delivery("shop", due_at=None)
    row.save()
    assert claimed(lease, row) == [row]
    # The same process after a restart.
    assert claimed(ReplicaLease(lease.id, "test"), row) == [row]


def test_a_delivery_that_cannot_be_finished_is_due_again_later(product, world):
    row = delivery(world.bare_project().name, kind="unheard-of", due_at=None)
    row.save()
    try:
        until("it is postponed", lambda: Delivery.objects.get(pk=row.pk).due_at)
        due_at = Delivery.objects.get(pk=row.pk).due_at
        assert due_at is not None
        assert due_at - RETRY_AFTER > row.received_at
        until("the reason is logged", lambda: f"delivery {row.pk} could not be finished" in product.log())
    finally:
        Delivery.objects.filter(pk=row.pk).delete()
