"""The controller's queue."""

from __future__ import annotations

import threading

from demo.controller.work_queue import WorkQueue


def test_a_key_added_often_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [queue.get(), queue.get()] == ["a", "b"]
    queue.close()
    assert queue.get() is None


def test_a_key_added_during_the_work_on_it_comes_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"  # not "a", which is worked on
    queue.done("a")
    assert queue.get() == "a"


def test_a_key_that_is_due_later_comes_later() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("later", 0.05)
    queue.add("now")
    assert [queue.get(), queue.get()] == ["now", "later"]


def test_a_retry_comes_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.retry("a")
    assert queue.get() == "a"


def test_closing_wakes_who_waits() -> None:
    queue: WorkQueue[str] = WorkQueue()
    thread = threading.Thread(target=queue.get)
    thread.start()
    queue.close()
    thread.join(10)
    assert not thread.is_alive()
