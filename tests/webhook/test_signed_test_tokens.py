"""A test token is valid for one receiver, one body and one minute, and can't be forged."""

from __future__ import annotations

import time

import pytest
from django.core import signing

from receivers.models import new_id
from receivers.webhook import signed_test_tokens
from receivers.webhook.signed_test_tokens import MAX_LENGTH, VALID_SECONDS, InvalidTestToken, issue, verify

BODY = b'{"push_data":{}}'
RECEIVERS = [("demo", "hook")]
TOKEN = signed_test_tokens.TestToken(new_id(), "demo", "hook", "jane", dry_run=True)


def issued_at(seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a token that was issued `seconds` ago."""
    now = time.time()
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now - seconds)
        return issue(TOKEN, BODY)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("user", ["jane", "Zoë Müller", "x" * 150, "名" * 150])
@pytest.mark.parametrize("project", ["demo", "", "p" * 253])
def test_verify_returns_the_issued_token(project, user, dry_run):
    token = signed_test_tokens.TestToken(new_id(), project, "r" * 253, user, dry_run)
    text = issue(token, BODY)
    assert verify(text, [("other", "hook"), (project, "r" * 253)], BODY) == token
    assert text.isascii()
    assert text.isprintable()


def test_a_token_is_valid_for_a_minute(monkeypatch):
    assert verify(issued_at(VALID_SECONDS - 5, monkeypatch), RECEIVERS, BODY) == TOKEN
    with pytest.raises(InvalidTestToken, match="older than 60 s"):
        verify(issued_at(VALID_SECONDS + 5, monkeypatch), RECEIVERS, BODY)


@pytest.mark.parametrize(
    ("receivers", "body", "reason"),
    [
        pytest.param(RECEIVERS, BODY + b" ", "another body", id="another body"),
        pytest.param(RECEIVERS, b"", "another body", id="no body"),
        pytest.param([("demo", "hook2")], BODY, "another receiver", id="another receiver"),
        pytest.param([("", "hook")], BODY, "another receiver", id="the cluster receiver"),
        pytest.param([("demohook", "")], BODY, "another receiver", id="the same characters"),
        pytest.param([], BODY, "another receiver", id="no receiver"),
    ],
)
def test_a_token_is_valid_for_one_receiver_and_one_body_only(receivers, body, reason):
    with pytest.raises(InvalidTestToken, match=reason):
        verify(issue(TOKEN, BODY), receivers, body)


VALID = issue(TOKEN, BODY)
PAYLOAD, STAMP, SIGNATURE = VALID.split(":")
FORGED = {
    "empty": "",
    "a word": "yes",
    "no signature": f"{PAYLOAD}:{STAMP}",
    "an empty signature": f"{PAYLOAD}:{STAMP}:",
    "another payload": f"{'A' + PAYLOAD[1:]}:{STAMP}:{SIGNATURE}",
    "a later time": f"{PAYLOAD}:{'z' + STAMP[1:]}:{SIGNATURE}",
    "another key": signing.dumps({"delivery": str(TOKEN.delivery)}, key="k" * 50, salt="kargoweb.test"),
    "another salt": signing.dumps({"delivery": str(TOKEN.delivery)}, salt="django.core.signing"),
    "not ASCII": "\xff" * 30,
    "lone surrogate": "\udcff:a:b",
    "a zip bomb": f".{PAYLOAD}:{STAMP}:{SIGNATURE}",
    "too long": "A" * (MAX_LENGTH + 1),
    "longer than any token": VALID + "A" * MAX_LENGTH,
    "colons": ":" * 100,
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_invalid(text):
    with pytest.raises(InvalidTestToken, match="not signed with the secret key"):
        verify(text, RECEIVERS, BODY)
