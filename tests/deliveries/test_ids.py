"""The ids of rows: UUIDs of version 7 that strictly increase within a process."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.utils import timezone

from receivers.models import first_id, new_id

COUNT = 5_000


def test_ids_strictly_increase_within_one_millisecond():
    ids = [new_id() for _ in range(COUNT)]
    assert ids == sorted(set(ids))


def test_ids_are_valid_and_contain_the_time_of_their_creation():
    before = time.time_ns() // 1_000_000
    row_id = new_id()
    assert (row_id.version, row_id.variant) == (7, uuid.RFC_4122)
    assert before <= row_id.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_the_ids_of_each_thread_increase_and_all_ids_are_unique():
    with ThreadPoolExecutor(4) as pool:
        ids_by_thread = list(pool.map(lambda _: [new_id() for _ in range(COUNT)], range(4)))
    assert all(ids == sorted(ids) for ids in ids_by_thread)
    assert len({row_id for ids in ids_by_thread for row_id in ids}) == 4 * COUNT


def test_ids_increase_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch):
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000_000_000)
    after = [new_id() for _ in range(3)]
    assert [before, *after] == sorted({before, *after})
    assert all(row_id.version == 7 for row_id in after)


def test_the_first_id_of_a_time_is_a_lower_bound_for_later_ids():
    now = timezone.now()
    row_id = new_id()
    assert first_id(now) <= row_id < first_id(now + timedelta(minutes=1))
