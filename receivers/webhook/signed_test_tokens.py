"""Signed test tokens, which mark a delivery as a test. Only kargoweb can issue one.

A token travels in the header `X-Kargoweb-Test`. It is signed with the secret key that all replicas share, is valid for
one minute, one receiver and one body, and names the delivery that the test becomes. A second request with the same
token would need the same primary key, which the database refuses, whichever replica receives it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.core import signing

from receivers.kargo.scopes import ReceiverKey

VALID_SECONDS: Final = 60
"""Six times as long as a test takes at most, and too short to be of use to anyone who intercepts a token."""

MAX_LENGTH: Final = 4_096
"""Characters; longer text is rejected unread. A token with the longest possible names has half as many."""

USED: Final = "its token was used before"

_SALT: Final = "kargoweb.test"


class InvalidTestToken(ValueError):
    """A forged, expired or misused token. The text says why, without telling a stranger anything new."""


@dataclass(frozen=True, slots=True)
class TestToken:
    """A test: the id of its delivery, its receiver, the user who sends it, and whether it only evaluates.

    `project` is `CLUSTER_SCOPE` for a cluster receiver. With `dry_run` no Warehouse is refreshed.
    """

    delivery: UUID
    project: str
    receiver: str
    user: str
    dry_run: bool


def issue(token: TestToken, body: bytes) -> str:
    """Return a signed token for this body as header text, valid for `VALID_SECONDS` from now."""
    claims = {
        "delivery": str(token.delivery),
        "project": token.project,
        "receiver": token.receiver,
        "user": token.user,
        "dry_run": token.dry_run,
        "body": _hash(body),
    }
    return signing.dumps(claims, salt=_SALT)


def verify(text: str, receivers: Iterable[ReceiverKey], body: bytes) -> TestToken:
    """Return the token of a test with this body that was sent to the URL of one of `receivers`.

    Doesn't check whether the token was used before: the primary key of the delivery does. Raises `InvalidTestToken`.
    """
    claims = _claims(text)
    if claims["body"] != _hash(body):
        raise InvalidTestToken("its token is for another body")
    if (claims["project"], claims["receiver"]) not in set(receivers):
        raise InvalidTestToken("its token is for another receiver")
    # Anything but an explicit False is a dry run, so that a malformed token refreshes nothing.
    dry_run = claims["dry_run"] is not False
    return TestToken(UUID(claims["delivery"]), claims["project"], claims["receiver"], claims["user"], dry_run)


def _claims(text: str) -> dict[str, Any]:
    """Return the claims of a token whose signature is valid. Raises `InvalidTestToken`."""
    try:
        if len(text) <= MAX_LENGTH:
            return dict(signing.loads(text, salt=_SALT, max_age=VALID_SECONDS))
    except signing.SignatureExpired:
        raise InvalidTestToken(f"its token is older than {VALID_SECONDS} s") from None
    except (signing.BadSignature, ValueError):
        pass  # ValueError: the text can't be encoded, so it can't be compared with a signature
    raise InvalidTestToken("its token was not signed with the secret key of this kargoweb")


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
