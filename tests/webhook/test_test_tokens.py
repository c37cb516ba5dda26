"""A ticket is good for one receiver, one body and one minute, and nobody else can write one."""

from __future__ import annotations

import time

import pytest
from django.core import signing

from receivers.models import new_id
from receivers.webhook.test_tokens import LONGEST, VALID_SECONDS, InvalidTestToken, TestToken, issue, read

BODY = b'{"push_data":{}}'
OWNERS = [("demo", "hook")]
TICKET = TestToken(new_id(), "demo", "hook", "jane", dry_run=True)


def issued_at(seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a ticket that was issued so many seconds ago."""
    now = time.time()
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now - seconds)
        return issue(TICKET, BODY)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("user", ["jane", "Zoë Müller", "x" * 150, "名" * 150])
@pytest.mark.parametrize("project", ["demo", "", "p" * 253])
def test_a_ticket_says_what_was_issued(project, user, dry_run):
    ticket = TestToken(new_id(), project, "r" * 253, user, dry_run)
    text = issue(ticket, BODY)
    assert read(text, [("other", "hook"), (project, "r" * 253)], BODY) == ticket
    assert text.isascii()
    assert text.isprintable()


def test_a_ticket_lives_for_a_minute(monkeypatch):
    assert read(issued_at(VALID_SECONDS - 5, monkeypatch), OWNERS, BODY) == TICKET
    with pytest.raises(InvalidTestToken, match="older than 60 s"):
        read(issued_at(VALID_SECONDS + 5, monkeypatch), OWNERS, BODY)


@pytest.mark.parametrize(
    ("owners", "body", "reason"),
    [
        pytest.param(OWNERS, BODY + b" ", "another body", id="another body"),
        pytest.param(OWNERS, b"", "another body", id="no body"),
        pytest.param([("demo", "hook2")], BODY, "another receiver", id="another receiver"),
        pytest.param([("", "hook")], BODY, "another receiver", id="that of the cluster"),
        pytest.param([("demohook", "")], BODY, "another receiver", id="the same letters"),
        pytest.param([], BODY, "another receiver", id="nobody's"),
    ],
)
def test_a_ticket_is_for_one_receiver_and_one_body(owners, body, reason):
    with pytest.raises(InvalidTestToken, match=reason):
        read(issue(TICKET, BODY), owners, body)


GOOD = issue(TICKET, BODY)
PAYLOAD, STAMP, SIGNATURE = GOOD.split(":")
FORGED = {
    "nothing": "",
    "a word": "yes",
    "no signature": f"{PAYLOAD}:{STAMP}",
    "an empty signature": f"{PAYLOAD}:{STAMP}:",
    "another payload": f"{'A' + PAYLOAD[1:]}:{STAMP}:{SIGNATURE}",
    "a later time": f"{PAYLOAD}:{'z' + STAMP[1:]}:{SIGNATURE}",
    "another key": signing.dumps({"delivery": str(TICKET.delivery)}, key="k" * 50, salt="kargoweb.test"),
    "another purpose": signing.dumps({"delivery": str(TICKET.delivery)}, salt="django.core.signing"),
    "no ASCII": "\xff" * 30,
    "half a character": "\udcff:a:b",
    "a zip bomb": f".{PAYLOAD}:{STAMP}:{SIGNATURE}",
    "much too long": "A" * (LONGEST + 1),
    "longer than any": GOOD + "A" * LONGEST,
    "colons": ":" * 100,
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_what_we_did_not_sign_is_no_ticket(text):
    with pytest.raises(InvalidTestToken, match="not signed with the secret key"):
        read(text, OWNERS, BODY)
