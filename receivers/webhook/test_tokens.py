"""Tickets: what marks a delivery as a test, which no stranger can write.

A ticket travels in the header `X-Kargoweb-Test`. It is signed with the secret key that all replicas share, good for a
minute, for one receiver and one body, and names the delivery that the test will become: a second one with the same
ticket would need the same primary key, which the database refuses, whichever replica it comes to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.core import signing

VALID_SECONDS: Final = 60
"""Six times what a test may take to reach us, and little for whoever gets hold of a ticket."""

LONGEST: Final = 4_096  # characters that are looked at; the longest names there can be make half of that
USED: Final = "its ticket was used before"

_SALT: Final = "kargoweb.test"


class InvalidTestToken(ValueError):
    """A ticket that is none, or not for this; the text says why, and tells a stranger nothing that he does not know."""


@dataclass(frozen=True, slots=True)
class TestToken:
    """One test: the id that its delivery will have, its receiver (`project` is empty for one of the cluster), who fires
    it, and whether it only tries out, so that nothing is refreshed.
    """

    delivery: UUID
    project: str
    receiver: str
    user: str
    dry_run: bool


def issue(ticket: TestToken, body: bytes) -> str:
    """Return a ticket for this body as text for a header, good from now on for `VALID_SECONDS`."""
    told = {
        "delivery": str(ticket.delivery),
        "project": ticket.project,
        "receiver": ticket.receiver,
        "user": ticket.user,
        "dry_run": ticket.dry_run,
        "body": _hash(body),
    }
    return signing.dumps(told, salt=_SALT)


def read(text: str, owners: Iterable[tuple[str, str]], body: bytes) -> TestToken:
    """Read the ticket of a test with this body that came to the URL of one of `owners` (project and receiver).

    Whether it was used before is for the database to say. Raises `InvalidTestToken`.
    """
    told = _signed(text)
    if told["body"] != _hash(body):
        raise InvalidTestToken("its ticket is for another body")
    if (told["project"], told["receiver"]) not in set(owners):
        raise InvalidTestToken("its ticket is for another receiver")
    return TestToken(
        UUID(told["delivery"]), told["project"], told["receiver"], told["user"], told["dry_run"] is not False
    )


def _signed(text: str) -> dict[str, Any]:
    """Return what a ticket says, which is what `issue` wrote: nobody else can sign."""
    try:
        if len(text) <= LONGEST:
            return dict(signing.loads(text, salt=_SALT, max_age=VALID_SECONDS))
    except signing.SignatureExpired:
        raise InvalidTestToken(f"its ticket is older than {VALID_SECONDS} s") from None
    except (signing.BadSignature, ValueError):
        pass  # ValueError: text that cannot even be compared
    raise InvalidTestToken("its ticket was not signed with the secret key of this kargoweb")


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
