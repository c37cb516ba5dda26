"""Docker Hub's bodies: every known shape is parsed, and the errors of invalid bodies say what is wrong."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receivers.kargo.kinds.dockerhub import compose, parse
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.push import Push

PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*.json"))


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_recorded_body_is_parsed(path):
    body = json.loads(path.read_bytes())
    push_data, repository = body["push_data"], body["repository"]
    seconds = push_data.get("pushed_at")
    assert parse(path.read_bytes()) == Push(
        repository=repository.get("repo_name", ""),
        tag=push_data.get("tag", ""),
        media_type=push_data.get("media_type") or "",
        pusher=push_data.get("pusher", ""),
        pushed_at=None if seconds is None else datetime.fromtimestamp(seconds, UTC),
    )


def test_there_are_at_least_25_recorded_bodies():
    assert len(PAYLOADS) >= 25


def test_a_composed_body_equals_the_body_that_docker_hub_sends():
    recorded = json.loads((PAYLOADS[0].parent / "2022-12-capture-media-type-manifest-list.json").read_bytes())
    push_data = recorded["push_data"]
    body = compose(
        "bluebrown/busybox",
        push_data["tag"],
        media_type=push_data["media_type"],
        pusher=push_data["pusher"],
        pushed_at=push_data["pushed_at"],
    )
    composed = json.loads(body)
    for generated in ("callback_url", "date_created"):
        for part in (composed, composed["repository"], recorded, recorded["repository"]):
            part.pop(generated, None)
    assert composed == recorded


def test_a_composed_body_is_parsed_into_the_same_push():
    body = compose("example/repo", "1.2.3", media_type="application/x", pusher="jo", pushed_at=1_700_000_000)
    pushed_at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert parse(body) == Push("example/repo", "1.2.3", "application/x", "jo", pushed_at)


INVALID = {
    b"": "line 1, column 1: expected a value, found the end of the body",
    b"tag=1.0": 'line 1, column 1: expected a value, found "t"',
    b"\xef\xbb\xbf{}": r'line 1, column 1: expected a value, found "\ufeff"',
    b"[]": "the body is an array, not an object",
    b'"x"': "the body is a string, not an object",
    b'{"push_data": {"tag": 5}}': "push_data.tag is a number, not a string",
    b'{"PUSH_DATA": {"Tag": true}}': "push_data.tag is true, not a string",
    b'{"push_data": []}': "push_data is an array, not an object",
    b'{"repository": {"repo_name": {}}}': "repository.repo_name is an object, not a string",
    b'{"a": 1,}': 'line 1, column 9: expected a quoted name and a colon, found "}"',
    b'{"a": 1} x': 'line 1, column 10: expected the end of the body, found "x"',
    b'{\n  "a": 01\n}': 'line 2, column 9: expected , or }, found "1"',
    b'{"a": [1 2]}': 'line 1, column 10: expected , or ], found "2"',
    b'{"a": [1}': 'line 1, column 9: expected , or ], found "}"',
    b'{"a": 1': "line 1, column 8: expected , or }, found the end of the body",
    b'{"a": NaN}': 'line 1, column 7: expected a value, found "N"',
    b'{"a": "\n"}': "line 1, column 7: expected a value, found an unterminated string or an invalid character in it",
}


@pytest.mark.parametrize(("body", "reason"), INVALID.items(), ids=[repr(body)[2:] for body in INVALID])
def test_the_error_for_an_invalid_body_says_what_is_wrong_and_where(body, reason):
    with pytest.raises(InvalidBody) as caught:
        parse(body)
    assert str(caught.value) == reason


@pytest.mark.parametrize("pushed_at", ["null", '"yesterday"', "[]", "true", "1e999", "-1e20", "9" * 5000])
def test_an_invalid_time_is_ignored(pushed_at):
    push = parse(b'{"push_data": {"tag": "1", "pusher": {}, "pushed_at": %s}}' % pushed_at.encode())
    assert (push.tag, push.pusher, push.pushed_at) == ("1", "", None)


def parses_or_is_invalid(body):
    try:
        push = parse(body)
    except InvalidBody:
        return
    assert all(push.names)
    assert (push.repository + push.tag).encode() is not None


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_invalid_body(body):
    parses_or_is_invalid(body)


KEYS = st.sampled_from(
    ["push_data", "repository", "tag", "repo_name", "media_type", "pusher", "pushed_at", "x"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(DOCUMENTS, st.integers(0, 100), st.binary(max_size=2))
def test_damaged_documents_raise_only_invalid_body(document, position, damage):
    body = json.dumps(document).encode()
    parses_or_is_invalid(body)
    parses_or_is_invalid(body[:position] + damage + body[position:])
