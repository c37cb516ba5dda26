"""An API server that hangs is left alone for a while, so that it does not hang us."""

from __future__ import annotations

import pytest

from receivers.cluster.errors import ServerError, TimedOut
from receivers.refreshes.circuit_breaker import FAILURE_THRESHOLD, OPEN_SECONDS, CircuitBreaker
from receivers.refreshes.sender import RefreshSender

ONE = ("project", "warehouse")


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(lambda: clock[0])


def test_it_opens_after_several_silences_in_a_row(breaker):
    for _ in range(FAILURE_THRESHOLD):
        assert not breaker.is_open()
        breaker.record(timed_out=True)
    assert breaker.is_open()


def test_an_answer_in_between_starts_the_count_anew(breaker):
    for _ in range(FAILURE_THRESHOLD * 2):
        breaker.record(timed_out=True)
        breaker.record(timed_out=False)
    assert not breaker.is_open()


def test_after_the_pause_one_more_silence_opens_it_again(breaker, clock):
    for _ in range(FAILURE_THRESHOLD):
        breaker.record(timed_out=True)
    clock[0] += OPEN_SECONDS
    assert not breaker.is_open()
    breaker.record(timed_out=True)
    assert breaker.is_open()


class Raises:
    """A service layer that fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def patch(self, resource, name, namespace, body, *, timeout):
        self.asked += 1
        raise self.error


def asked_after_many_tries(error: Exception) -> int:
    server = Raises(error)
    sender = RefreshSender(lambda: server, lambda key: None)
    try:
        for _ in range(10):
            assert sender.request([ONE], 1)[0].error
        return server.asked
    finally:
        sender.stop()


def test_a_silent_server_is_asked_no_more():
    assert asked_after_many_tries(TimedOut("no answer in time")) == FAILURE_THRESHOLD


def test_a_server_that_answers_with_faults_is_asked_each_time():
    assert asked_after_many_tries(ServerError("oh")) == 10
