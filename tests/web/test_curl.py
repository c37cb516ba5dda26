"""A delivery's request as a command, and the difference between two bodies."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push
from receivers.web.body_difference import BodyChange, body_changes
from receivers.web.curl import LONGEST, curl_command
from tests.components import require
from tests.deliveries.rows import delivery


@pytest.mark.parametrize(
    "body", [b'{"a": "b\'; rm -rf /; \'"}', b'{"a":\n "$(id) `id` \\\\ \\" !!"}', b"plain 'text'"]
)
def test_a_command_sends_the_body_without_the_receiver_url(body):
    row = delivery(
        "p", body=body, path="/dockerhub/[redacted]abcdef", headers=[["Content-Type", "text/x; a='1'"]]
    )
    command = curl_command(row)
    assert shlex.split(command) == [
        "curl", "$RECEIVER_URL", "-H", "Content-Type: text/x; a='1'", "--data-raw", body.decode(),
    ]  # fmt: skip
    assert "abcdef" not in command


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.signs])
def test_the_shell_signs_the_body_with_the_secret(kind):
    require("openssl")
    body = KINDS[kind].compose(Push("https://git.example.com/it's", "refs/heads/main", commit="c0ffee"))
    sent = KINDS[kind].compose_headers(Push("", "refs/heads/main"), body, b"s3cret")
    row = delivery("p", kind=kind, body=body, headers=[[name.title(), value] for name, value in sent.items()])
    script = (
        f"curl() {{ printf '%s\\n' \"$@\"; }}\nRECEIVER_SECRET=s3cret RECEIVER_URL=x\n{curl_command(row)}"
    )
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert {f"{name}: {value}" for name, value in sent.items() if name != "User-Agent"} <= set(
        printed.split("\n")
    )
    assert printed.rstrip("\n").endswith(body.decode())
    assert "s3cret" not in curl_command(row)


def test_characters_that_control_a_terminal_are_escaped_as_json():
    body = '{"a": "\u202e\x7f", "é": 1}'.encode()
    command = curl_command(delivery("p", body=body, headers=[["content-type", "a\x1b"]]))
    assert command.isascii()
    assert command.isprintable()
    assert json.loads(shlex.split(command)[-1]) == json.loads(body)


@pytest.mark.parametrize("body", [b"", b"\xff", b"a\x1bb", b"x" * (LONGEST + 1)])
def test_a_body_that_cannot_be_typed_has_no_command(body):
    assert curl_command(delivery("p", body=body)) == ""


def test_the_difference_names_the_fields():
    before = {"push_data": {"tag": "1.0.0", "images": ["a", "b"]}, "gone": None, "same": 1}
    after = {"push_data": {"tag": "1.0.1", "images": ["a"]}, "same": 1, "new": {}}
    assert body_changes(json.dumps(before).encode(), json.dumps(after).encode()) == [
        BodyChange("push_data.tag", '"1.0.0"', '"1.0.1"'),
        BodyChange("new", None, "{}"),
        BodyChange("push_data.images[1]", '"b"', None),
        BodyChange("gone", "null", None),
    ]


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b"[" * 10_000, b"1"])
def test_bodies_that_are_no_objects_have_no_difference(body):
    assert body_changes(body, b"{}") is None
    assert body_changes(b"{}", body) is None
