"""A delivery is saved in the database, or on disk while the database can't take it."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import pytest
from django.utils import timezone

from receivers.deliveries.log_writer import CAPACITY, LogWriter, NotStored, Write
from receivers.deliveries.spool import Spool
from receivers.deliveries.store import LEFT_ALONE, AlreadySaved, DeliveryStore, NotSaved
from receivers.models import Delivery, Outcome, Refresh
from receivers.webhook.recovery import due_deliveries
from tests.clusters import PATIENCE, until
from tests.deliveries.rows import delivery
from tests.resilience.outages import locked

SHORT = 0.2  # seconds that a store waits for a locked database


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.open()
    return spool


@pytest.fixture
def store(writer, spool):
    """A store that waits for the database as long as a test does."""
    return DeliveryStore(writer, spool, PATIENCE, uuid4())


@pytest.fixture
def hasty_store(writer, spool):
    """A store that soon spools what the database doesn't take."""
    return DeliveryStore(writer, spool, SHORT, uuid4())


@pytest.fixture
def full_store(writer, tmp_path):
    """A store whose spool has no room."""
    (tmp_path / "file").write_text("not a directory")
    spool = Spool(tmp_path / "file")
    spool.open()
    return DeliveryStore(writer, spool, SHORT, uuid4())


def processed(row: Delivery) -> list[Refresh]:
    """Set the outcome of a delivery; return its refreshes."""
    row.outcome, row.warehouses = Outcome.REFRESHED, 1
    return [Refresh(delivery_id=row.pk, project="p", warehouse="w")]


def stored(row: Delivery) -> Delivery | None:
    """Return a delivery if the database has it with its outcome."""
    return Delivery.objects.filter(pk=row.pk).exclude(outcome=Outcome.PENDING).first()


def test_a_delivery_is_in_the_database_when_save_returns_and_its_result_follows(store, spool):
    row = delivery("shop", body=b"{}")
    store.save(row)
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.PENDING
    assert (store.is_only_on_disk(row), len(spool)) == (False, 0)
    store.finish(row, processed(row))
    result = until("the result is stored", lambda: stored(row))
    assert (result.outcome, result.refreshes.count()) == (Outcome.REFRESHED, 1)


def test_what_depends_on_a_result_is_updated_after_it_and_in_the_same_transaction(store):
    row, counts = delivery("shop"), list[int]()
    store.save(row)
    refreshes = processed(row)
    store.finish(row, refreshes, [lambda: counts.append(Refresh.objects.filter(delivery=row.pk).count())])
    until("the result is stored", lambda: stored(row))
    assert counts == [1]


def test_an_id_is_saved_once(store, spool):
    row = delivery("shop", path="/first")
    store.save(row, must_be_new=True)
    with pytest.raises(AlreadySaved):
        store.save(delivery("shop", id=row.pk, path="/second"), must_be_new=True)
    assert (Delivery.objects.get(pk=row.pk).path, len(spool)) == ("/first", 0)


def test_a_row_that_the_database_refuses_is_not_spooled(store, spool):
    row = delivery("shop")
    row.received_at = "never"
    with pytest.raises(NotSaved):
        store.save(row)
    assert len(spool) == 0


def test_while_the_database_is_locked_a_delivery_is_on_disk_until_its_result_is_stored(hasty_store, spool):
    row = delivery("shop", body=b"\x00\xff")
    with locked():
        hasty_store.save(row)
        assert (hasty_store.is_only_on_disk(row), spool.ids()) == (True, [row.pk])
        hasty_store.finish(row, processed(row))
        assert spool.ids() == [row.pk]
    result = until("the result is stored", lambda: stored(row))
    assert (result.outcome, bytes(result.body), result.refreshes.count()) == (
        Outcome.REFRESHED,
        b"\x00\xff",
        1,
    )
    until("the file is deleted", lambda: not spool.ids())
    assert not hasty_store.is_only_on_disk(row)


def transfer(store, writer):
    """Transfer what is on disk, once the database is back."""
    until("the database is back", lambda: not writer.stuck)
    store.transfer_spooled()


def test_a_delivery_in_progress_stays_on_disk_until_it_is_abandoned(hasty_store, writer, spool):
    row = delivery("shop")
    with locked():
        hasty_store.save(row)
    transfer(hasty_store, writer)
    assert spool.ids() == [row.pk]
    hasty_store.abandon(row)
    transfer(hasty_store, writer)
    assert spool.ids() == []
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.PENDING


def test_a_delivery_that_is_saved_with_its_result_is_transferred_without_further_calls(
    hasty_store, writer, spool
):
    row = delivery("shop", outcome=Outcome.INVALID_BODY)
    with locked():
        hasty_store.save(row)
        assert not hasty_store.is_only_on_disk(row)
    transfer(hasty_store, writer)
    assert (stored(row), spool.ids()) == (row, [])


def test_the_next_process_transfers_what_a_process_leaves_behind(hasty_store, writer, spool, tmp_path):
    row = delivery("shop")
    with locked():
        hasty_store.save(row)
    next_spool = Spool(tmp_path / "spool")
    next_spool.open()
    transfer(DeliveryStore(writer, next_spool, PATIENCE, uuid4()), writer)
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.PENDING
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_unusable_file_does_not_block_other_files(store, spool, tmp_path):
    deleted, invalid, refused, good = (delivery("shop") for _ in range(4))
    refused.received_at = None  # type: ignore[assignment]  # no database accepts it
    for row in (deleted, invalid, refused, good):
        spool.keep(row)
    (tmp_path / "spool" / f"{deleted.pk}.json").unlink()
    (tmp_path / "spool" / f"{invalid.pk}.json").write_text("truncat")
    store.transfer_spooled()
    assert Delivery.objects.filter(pk=good.pk).exists()
    assert len(spool) == 0
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {
        f"{invalid.pk}.unusable",
        f"{refused.pk}.unusable",
    }


def test_a_delivery_that_must_be_new_is_not_spooled(hasty_store, spool):
    with locked(), pytest.raises(NotSaved):
        hasty_store.save(delivery("shop"), must_be_new=True)
    assert len(spool) == 0


def test_a_delivery_that_neither_takes_is_not_saved_and_the_loss_is_logged(full_store, caplog):
    row = delivery("shop")
    with locked(), pytest.raises(NotSaved):
        full_store.save(row)
    assert "lost a delivery to shop/hook" in caplog.text
    assert not full_store.is_only_on_disk(row)


def test_a_result_that_cannot_be_queued_leaves_the_delivery_to_the_next_transfer(spool, database):
    stopped = LogWriter()  # nothing takes writes from its queue
    store = DeliveryStore(stopped, spool, SHORT, uuid4())
    row = delivery("shop")
    store.save(row)
    assert store.is_only_on_disk(row)
    with suppress(NotStored):
        for _ in range(CAPACITY):
            stopped.submit(Write())
    store.finish(row, processed(row))
    assert (store.is_only_on_disk(row), spool.ids()) == (False, [row.pk])


def test_a_delivery_in_progress_is_left_to_the_process_that_received_it(store):
    """Recovery may read the rows just after it asked what is in progress, and other replicas before it has a lease."""
    row = delivery("shop", body=b"{}", due_at=None)
    before = timezone.now()
    assert store.in_progress() == frozenset()
    store.save(row)
    assert store.in_progress() == {row.pk}
    assert not due_deliveries(before).filter(pk=row.pk).exists()
    assert due_deliveries(before + 2 * LEFT_ALONE).filter(pk=row.pk).exists()
    store.finish(row, processed(row))
    until("its result is stored", lambda: stored(row))
    until("it is not in progress any more", lambda: not store.in_progress())
    assert not due_deliveries(before + 2 * LEFT_ALONE).filter(pk=row.pk).exists()


def test_a_delivery_that_is_given_up_is_free_for_recovery(store):
    row = delivery("shop", body=b"{}")
    store.save(row)
    store.abandon(row)
    assert store.in_progress() == frozenset()
