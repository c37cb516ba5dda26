"""The scheduler runs every task when it is due, never twice at the same time, and survives its errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from receivers.ops.scheduler import FAULT_PAUSE, PeriodicTask, Scheduler
from tests.clusters import PATIENCE, until

pytestmark = pytest.mark.usefixtures("database")


class Work:
    """Work that counts its calls."""

    def __init__(self, results: tuple[bool, ...] = ()) -> None:
        self.calls = 0
        self._results = results

    def __call__(self) -> bool:
        self.calls += 1
        return self.calls <= len(self._results) and self._results[self.calls - 1]


@contextmanager
def running(*work: Callable[[], bool], pause: float = 0.01, threads: int = 1) -> Iterator[list[PeriodicTask]]:
    """Run tasks with this work."""
    tasks = [PeriodicTask(f"task-{number}", each, pause) for number, each in enumerate(work)]
    scheduler = Scheduler("test", tasks, threads)
    scheduler.start()
    try:
        yield tasks
    finally:
        scheduler.stop()
        scheduler.join(PATIENCE)


def test_every_task_runs_again_after_its_pause():
    first, second = Work(), Work()
    with running(first, second):
        until("both have run twice", lambda: first.calls > 1 and second.calls > 1)


def test_a_task_runs_again_at_once_while_there_is_more_to_do():
    work = Work((True, True, True))
    with running(work, pause=PATIENCE * 2):
        until("nothing is left", lambda: work.calls == 4)


def test_an_error_is_reported_and_the_task_runs_again_later(caplog):
    def fail() -> bool:
        raise ValueError("no such table")

    other = Work()
    with running(fail, other) as [failing, _]:
        until("it has failed", lambda: failing.fault)
        until("the other task still runs", lambda: other.calls > 2)
    assert (failing.fault, failing.done_at) == ("no such table", None)
    assert f"task-0 failed; retrying in {FAULT_PAUSE:g} s" in caplog.text


def test_a_task_that_hangs_delays_no_other_task_while_a_thread_is_free():
    hangs, released, other = threading.Event(), threading.Event(), Work()

    def hang() -> bool:
        hangs.set()
        return not released.wait(PATIENCE)

    with running(hang, other, threads=2):
        assert hangs.wait(PATIENCE)
        before = other.calls
        until("the other task still runs", lambda: other.calls > before + 2)
        released.set()


def test_a_task_never_runs_twice_at_the_same_time():
    lock, overlaps, calls = threading.Lock(), [], Work()

    def work() -> bool:
        overlaps.append(not lock.acquire(blocking=False))
        calls()
        lock.release()
        return True

    with running(work, threads=3):
        until("it has run often", lambda: calls.calls > 100)
    assert not any(overlaps)


def test_nothing_starts_after_a_stop():
    work = Work()
    with running(work):
        until("it has run", lambda: work.calls)
    calls = work.calls
    with running(Work(), pause=0.01) as [other]:
        until("time has passed", lambda: other.done_at)
    assert work.calls == calls
