"""Deliveries on disk while the database is unavailable."""

from __future__ import annotations

import pytest

from receivers.deliveries.spool import NotKept, Spool, SpoolReader
from receivers.models import Delivery, Outcome, new_id
from tests.deliveries.rows import delivery


@pytest.fixture
def spool(tmp_path):
    return opened_spool(tmp_path)


def opened_spool(directory):
    spool = Spool(directory)
    spool.open()
    return spool


def test_a_delivery_is_read_as_it_was_written(spool):
    row = delivery("shop", body=b"\x00\xff{}", headers=[["A", "b"]], outcome=Outcome.INVALID_BODY, path="/é")
    spool.keep(row)
    spooled = spool.read(row.pk)
    for field in Delivery._meta.concrete_fields:
        value, original = getattr(spooled, field.attname), getattr(row, field.attname)
        assert (bytes(value) if field.name == "body" else value) == original, field.name


def test_a_delivery_is_in_use_until_it_is_settled(spool):
    first, second = delivery("shop"), delivery("shop")
    spool.keep(first)
    spool.keep(second)
    assert (len(spool), spool.unused()) == (2, [])
    spool.settle(first.pk, None)
    spool.settle(second.pk, OSError("away"))
    assert (len(spool), spool.unused()) == (1, [second.pk])


def test_the_next_process_stores_the_remaining_deliveries(spool, tmp_path, writer):
    row = delivery("shop")
    spool.keep(row)
    next_spool = opened_spool(tmp_path)
    assert next_spool.unused() == [row.pk]
    SpoolReader(next_spool, writer).work()
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.PENDING
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_file_does_not_block_other_files(spool, tmp_path, writer):
    deleted, invalid, rejected, good = (delivery("shop") for _ in range(4))
    rejected.received_at = None  # type: ignore[assignment]  # no database accepts it
    for row in (deleted, invalid, rejected, good):
        spool.keep(row)
        spool.settle(row.pk, OSError("away"))
    (tmp_path / f"{deleted.pk}.json").unlink()
    (tmp_path / f"{invalid.pk}.json").write_text("truncat")
    SpoolReader(spool, writer).work()
    assert Delivery.objects.filter(pk=good.pk).exists()
    assert len(spool) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{invalid.pk}.unusable",
        f"{rejected.pk}.unusable",
    }


def test_other_files_are_ignored(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    spool = opened_spool(tmp_path)
    assert (spool.problem, spool.unused()) == ("", [])


def test_a_directory_that_is_not_writable_has_no_room(tmp_path):
    spool = opened_spool(tmp_path / "spool")
    assert spool.has_room
    (tmp_path / "spool").rmdir()
    with pytest.raises(NotKept, match="is not writable"):
        spool.keep(delivery("shop"))
    assert (spool.has_room, len(spool)) == (False, 0)
    (tmp_path / "spool").mkdir()
    spool.keep(delivery("shop", id=new_id()))
    assert spool.has_room
