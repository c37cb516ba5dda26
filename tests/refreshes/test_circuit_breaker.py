"""Requests to an API server that hangs are skipped for a while, so that they do not block every thread."""

from __future__ import annotations

import pytest

from receivers.cluster.errors import ServerError, TimedOut
from receivers.refreshes.circuit_breaker import FAILURE_THRESHOLD, OPEN_SECONDS, CircuitBreaker
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.work_queue import WorkQueue

WAREHOUSE = ("project", "warehouse")


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(lambda: clock[0])


def test_the_breaker_opens_after_consecutive_timeouts(breaker):
    for _ in range(FAILURE_THRESHOLD):
        assert not breaker.is_open()
        breaker.record(timed_out=True)
    assert breaker.is_open()


def test_a_response_resets_the_count(breaker):
    for _ in range(FAILURE_THRESHOLD * 2):
        breaker.record(timed_out=True)
        breaker.record(timed_out=False)
    assert not breaker.is_open()


def test_after_the_pause_a_single_timeout_opens_the_breaker_again(breaker, clock):
    for _ in range(FAILURE_THRESHOLD):
        breaker.record(timed_out=True)
    clock[0] += OPEN_SECONDS
    assert not breaker.is_open()
    breaker.record(timed_out=True)
    assert breaker.is_open()


class FailingClient:
    """A Kubernetes client that always raises the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.requests = 0

    def patch(self, resource, name, namespace, body, *, timeout):
        self.requests += 1
        raise self.error


def requests_sent(error: Exception) -> int:
    """Return how many of ten refreshes reach the client."""
    client = FailingClient(error)
    sender = RefreshSender(lambda: client, lambda key: None, WorkQueue(lambda key: None))
    try:
        for _ in range(10):
            assert sender.request([WAREHOUSE], 1)[0].error
        return client.requests
    finally:
        sender.stop()


def test_no_requests_are_sent_to_a_server_that_times_out():
    assert requests_sent(TimedOut("timed out")) == FAILURE_THRESHOLD


def test_requests_are_sent_to_a_server_that_returns_errors():
    assert requests_sent(ServerError("failed")) == 10
