"""Hostile bodies of the maximum length are decoded or rejected without recursion or excessive memory."""

import tracemalloc

import pytest

from receivers.kargo.golang.gojson import MAX_NESTING
from receivers.kargo.kinds.dockerhub import parse
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.matching import verdicts
from receivers.kargo.resources import decode_warehouse
from receivers.kargo.responses import MAX_BODY

# Bytes that may be allocated in addition to the text: a quarter of it, because other threads may allocate memory.
ALLOWANCE = MAX_BODY // 4


def filled(start, piece, end=b""):
    """Return a body of at most `MAX_BODY` bytes: the start, as many pieces as fit, and the end."""
    return start + piece * ((MAX_BODY - len(start) - len(end)) // len(piece)) + end


ACCEPTED = {
    "numbers": filled(b'{"x":[', b"1,", b"1]}"),
    "long number": filled(b'{"x":', b"1", b"}"),
    "long number as the time": filled(b'{"push_data":{"pushed_at":', b"1", b"}}"),
    "containers": filled(b'{"x":[', b"[[]],{},", b"1]}"),
    "members": filled(b"{", b'"":1,', b'"":1}'),
    "members of a known object": filled(b'{"push_data":{', b'"":1,', b'"":1}}'),
    "escapes": filled(b'{"x":"', rb"\n", b'"}'),
    "spaces": filled(b"{}", b" "),
}

REJECTED = {
    "open lists": filled(b"", b"["),
    "open lists in an object": filled(b'{"x":', b"["),
    "open objects": filled(b"", b'{"a":'),
    "open string": filled(b'{"x":"', b"a"),
    "open escapes": filled(b'{"x":"', rb"\""),
    "spaces": filled(b"", b" "),
    "not UTF-8": filled(b"", b"\xff"),
    "commas": filled(b'{"x":[', b","),
}


def peak_memory(function):
    """Return the peak memory of a call in bytes: the smallest of three measurements.

    Other threads of the process may allocate memory at the same time, which only increases a measurement.
    """
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        try:
            function()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_valid_bodies_of_the_maximum_length_are_parsed(body):
    assert parse(body).repository == ""


@pytest.mark.parametrize("body", REJECTED.values(), ids=REJECTED)
def test_invalid_bodies_of_the_maximum_length_are_rejected(body):
    with pytest.raises(InvalidBody):
        parse(body)


@pytest.mark.parametrize("name", ["numbers", "escapes", "long number as the time"])
def test_no_memory_is_allocated_for_unknown_fields(name):
    assert peak_memory(lambda: parse(ACCEPTED[name])) < 3 * MAX_BODY + ALLOWANCE


def test_a_long_tag_is_not_truncated():
    body = filled(b'{"push_data":{"tag":"', rb"\n", b'"}}')
    assert set(parse(body).tag) == {"\n"}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_the_nesting_limit_is_the_same_as_in_go(opening, closing):
    def nested(levels):
        return b'{"x":' + opening * (levels - 1) + b"1" + closing * (levels - 1) + b"}"

    assert parse(nested(MAX_NESTING)).tag == ""
    with pytest.raises(InvalidBody, match="nests deeper than 10000 levels"):
        parse(nested(MAX_NESTING + 1))


LONG_NAMES = ["a", "A", "@", ":", "/", ".", "-", "%", "é", "a/", "oci://", "a@", "_/", "docker.io/", "[", "?"]


@pytest.mark.parametrize("piece", LONG_NAMES, ids=ascii)
def test_a_long_repository_name_is_compared_but_not_cached(piece):
    warehouse = decode_warehouse({"spec": {"subscriptions": [{"image": {"repoURL": "example/repo"}}]}})
    push = parse(filled(b'{"repository":{"repo_name":"x', piece.encode(), b'"}}'))
    assert verdicts(push, [warehouse]) == ()
    # A single measurement, because a cache would allocate only at the first access.
    tracemalloc.start()
    try:
        push.names  # noqa: B018 - computed on every access
        push.near_key  # noqa: B018
        retained = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert retained < ALLOWANCE
