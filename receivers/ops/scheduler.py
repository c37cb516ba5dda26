"""Periodic work: tasks, and a scheduler that runs them on few threads."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from django.db import close_old_connections

log = logging.getLogger(__name__)

FAULT_PAUSE: Final = 5.0  # seconds until a task that raised runs again


class PeriodicTask:
    """Calls `work` every `pause` seconds, or after `again` if the last call returned True.

    `fault` is the error of the last call, empty if it succeeded. `done_at` is when a call last succeeded, in
    `time.monotonic` seconds.
    """

    def __init__(self, name: str, work: Callable[[], bool], pause: float, again: float = 0.0) -> None:
        self.name = name
        self._work = work
        self._pause = pause
        self._again = again
        self.fault = ""
        self.done_at: float | None = None

    def run(self) -> float:
        """Call `work`; return the seconds until the next call. An exception is logged, and never raised."""
        close_old_connections()
        try:
            unfinished = self._work()
        except Exception as error:
            self.fault = str(error).strip() or type(error).__name__
            log.exception("%s failed; retrying in %g s", self.name, FAULT_PAUSE)
            return FAULT_PAUSE
        self.fault, self.done_at = "", time.monotonic()
        return self._again if unfinished else self._pause


class Scheduler:
    """Runs tasks when they are due, on `threads` threads. A task never runs twice at the same time."""

    def __init__(self, name: str, tasks: Iterable[PeriodicTask], threads: int = 1) -> None:
        self._changed = threading.Condition()
        # The second value keeps the order of tasks that are due at the same time, and tasks from being compared.
        self._due = [(0.0, number, task) for number, task in enumerate(tasks)]
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name=name if threads == 1 else f"{name}-{number}", daemon=True)
            for number in range(1, threads + 1)
        ]

    def start(self) -> None:
        """Start the threads; every task is due at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Start no more tasks."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """Wait up to `seconds` for the tasks in progress."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (entry := self._next()) is not None:
            number, task = entry
            due = time.monotonic() + task.run()
            with self._changed:
                heapq.heappush(self._due, (due, number, task))
                self._changed.notify()
        close_old_connections()

    def _next(self) -> tuple[int, PeriodicTask] | None:
        """Wait for a task that is due and return it with its number; None if the scheduler is stopped."""
        with self._changed:
            while not self._stopped:
                seconds = self._due[0][0] - time.monotonic() if self._due else None
                if seconds is not None and seconds <= 0:
                    _, number, task = heapq.heappop(self._due)
                    return number, task
                self._changed.wait(seconds)
            return None
