"""The controller's work queue."""

from __future__ import annotations

import threading

from demo.controller.work_queue import WorkQueue
from tests.clusters import PATIENCE


def test_a_key_added_twice_is_processed_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [queue.get(), queue.get()] == ["a", "b"]
    queue.close()
    assert queue.get() is None


def test_a_key_added_during_its_processing_is_processed_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"  # not "a", which is being processed
    queue.done("a")
    assert queue.get() == "a"


def test_a_delayed_key_comes_after_one_that_is_due() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("later", 0.05)
    queue.add("now")
    assert [queue.get(), queue.get()] == ["now", "later"]


def test_a_retried_key_is_processed_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.retry("a")
    assert queue.get() == "a"


def test_closing_wakes_waiting_threads() -> None:
    queue: WorkQueue[str] = WorkQueue()
    thread = threading.Thread(target=queue.get)
    thread.start()
    queue.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
