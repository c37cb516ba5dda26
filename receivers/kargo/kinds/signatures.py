"""Signatures and tokens of requests. They are compared in constant time, over the received bytes."""

from __future__ import annotations

import hmac
import re
from typing import Final

from receivers.kargo import responses
from receivers.kargo.kinds.events import Cause, Refused

_ALGORITHMS: Final = ("sha1", "sha256", "sha512")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")


def check_hub_signature(header: str, signature: str, body: bytes, secret: bytes) -> None:
    """Raise `Refused` unless `signature` (`sha256=<hex>`) is that of the body; `header` is the header that has it.

    Source: `ValidateSignature` in go-github, with which Kargo checks the headers of GitHub, Gitea and Bitbucket. It
    takes SHA-1 and SHA-512, too, whatever the name of the header.
    """
    if not signature:
        raise missing("signature", f"the header {header} is missing")
    algorithm, separator, digits = signature.partition("=")
    if not separator or algorithm not in _ALGORITHMS:
        raise unauthorized(f"{header} does not begin with sha256=")
    if not _HEX.fullmatch(digits):
        raise unauthorized(f"{header} is not hexadecimal")
    if not hmac.compare_digest(hmac.digest(secret, body, algorithm), bytes.fromhex(digits)):
        raise unauthorized(f"{header} doesn't match the body and the receiver's Secret")


def hub_signature(body: bytes, secret: bytes) -> str:
    """Return the signature of a body as GitHub, Gitea and Bitbucket send it."""
    return f"sha256={hmac.new(secret, body, 'sha256').hexdigest()}"


def equal(given: str, expected: bytes) -> bool:
    """Say whether the value of a header is this secret, in constant time."""
    # The server passes headers as Latin-1, which maps every byte to a character.
    return hmac.compare_digest(as_bytes(given), expected)


def as_bytes(value: str) -> bytes:
    """Return the bytes of the value of a header."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def missing(what: str, reason: str) -> Refused:
    """Return the refusal of a request without a signature or an authorization."""
    return Refused(responses.refused(401, f"missing {what}"), Cause.SIGNATURE, reason)


def unauthorized(reason: str) -> Refused:
    """Return the refusal of a request with a wrong signature or authorization."""
    return Refused(responses.refused(401, "unauthorized"), Cause.SIGNATURE, reason)
