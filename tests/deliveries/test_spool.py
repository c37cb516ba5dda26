"""Deliveries on disk while the database is unavailable."""

from __future__ import annotations

import stat

import pytest

from receivers.deliveries import spool as spool_module
from receivers.deliveries.spool import InvalidFile, NotKept, Spool
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
        assert (bytes(value) if field.name == "stored_body" else value) == original, field.name


def test_the_next_process_finds_what_is_left_oldest_first(spool, tmp_path):
    second, first, third = delivery("shop", 2), delivery("shop", 1), delivery("shop", 3)
    for row in (second, first, third):
        spool.keep(row)
    spool.remove(third.pk)
    next_spool = opened_spool(tmp_path)
    assert (len(next_spool), next_spool.ids()) == (2, [first.pk, second.pk])


def test_only_the_owner_can_read_the_deliveries(tmp_path):
    spool = opened_spool(tmp_path / "spool")
    spool.keep(delivery("shop"))
    (file,) = (tmp_path / "spool").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o700, 0o600]


def test_an_invalid_file_is_set_aside(spool, tmp_path):
    row = delivery("shop")
    spool.keep(row)
    (tmp_path / f"{row.pk}.json").write_text("truncat")
    with pytest.raises(InvalidFile):
        spool.read(row.pk)
    spool.set_aside(row.pk)
    assert (len(spool), [path.name for path in tmp_path.iterdir()]) == (0, [f"{row.pk}.unusable"])


def test_other_files_are_ignored(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    spool = opened_spool(tmp_path)
    assert (spool.problem, spool.ids()) == ("", [])


def test_a_full_spool_has_no_room(spool, monkeypatch):
    monkeypatch.setattr(spool_module, "MOST_DELIVERIES", 1)
    spool.keep(delivery("shop"))
    assert not spool.has_room
    with pytest.raises(NotKept, match=r"the spool is full \(1 deliveries\)"):
        spool.keep(delivery("shop"))
    assert len(spool) == 1


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
