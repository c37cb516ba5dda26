"""Deliveries on disk while the database is unavailable."""

from __future__ import annotations

import pytest
from django.utils import timezone

from receivers.deliveries.log_writer import LogWriter
from receivers.deliveries.spool import NotKept, Spool, SpoolReader
from receivers.models import Delivery, Outcome, new_id


@pytest.fixture
def spool(tmp_path):
    return opened(tmp_path)


@pytest.fixture
def writer(database):
    writer = LogWriter()
    writer.start()
    yield writer
    writer.stop()


def opened(directory):
    spool = Spool(directory)
    spool.open()
    return spool


def delivery(**fields):
    defaults = {"received_at": timezone.now(), "receiver": "hook", "kind": "dockerhub", "project": "shop"}
    return Delivery(**(defaults | fields))


def test_a_delivery_is_read_as_it_was_kept(spool):
    row = delivery(body=b"\x00\xff{}", headers=[["A", "b"]], outcome=Outcome.INVALID_BODY, path="/é")
    spool.keep(row)
    found = spool.read(row.pk)
    for field in Delivery._meta.concrete_fields:
        kept, given = getattr(found, field.attname), getattr(row, field.attname)
        assert (bytes(kept) if field.name == "body" else kept) == given, field.name


def test_a_delivery_in_use_is_left_alone_until_it_is_settled(spool):
    first, second = delivery(), delivery()
    spool.keep(first)
    spool.keep(second)
    assert (len(spool), spool.unused()) == (2, [])
    spool.settle(first.pk, None)
    spool.settle(second.pk, OSError("away"))
    assert (len(spool), spool.unused()) == (1, [second.pk])


def test_the_next_process_stores_what_the_last_one_left(spool, tmp_path, writer):
    row = delivery()
    spool.keep(row)
    again = opened(tmp_path)
    assert again.unused() == [row.pk]
    SpoolReader(again, writer).work()
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.PENDING
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_file_does_not_block_others(spool, tmp_path, writer):
    gone, senseless, refused, good = (delivery() for _ in range(4))
    refused.received_at = None  # which no database accepts
    for row in (gone, senseless, refused, good):
        spool.keep(row)
        spool.settle(row.pk, OSError("away"))
    (tmp_path / f"{gone.pk}.json").unlink()
    (tmp_path / f"{senseless.pk}.json").write_text("half a del")
    SpoolReader(spool, writer).work()
    assert Delivery.objects.filter(pk=good.pk).exists()
    assert len(spool) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{senseless.pk}.unusable",
        f"{refused.pk}.unusable",
    }


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    spool = opened(tmp_path)
    assert (spool.problem, spool.unused()) == ("", [])


def test_a_directory_that_is_not_writable_has_no_room(tmp_path):
    spool = opened(tmp_path / "spool")
    assert spool.has_room
    (tmp_path / "spool").rmdir()
    with pytest.raises(NotKept, match="is not writable"):
        spool.keep(delivery())
    assert (spool.has_room, len(spool)) == (False, 0)
    (tmp_path / "spool").mkdir()
    spool.keep(delivery(id=new_id()))
    assert spool.has_room
