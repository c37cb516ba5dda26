"""Keep credentials out of log lines and of the database."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from receivers.deliveries.escaping import escape_invisible
from receivers.kargo.receiver_path import SUFFIX_LENGTH

# A digest, or what a sender or a proxy has made of it: another case, some characters more or less. Fewer of them leave
# at least 64 bits to guess, and a Git commit has 40.
SHORTEST_PART: Final = 48
DIGEST: Final = re.compile(
    rf"[0-9a-fA-F]{{{SHORTEST_PART - SUFFIX_LENGTH},}}([0-9a-fA-F]{{{SUFFIX_LENGTH}}})"
)
BEARER: Final = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]+")
SECRET_HEADERS: Final = re.compile(
    r"(?i)auth|cookie|token|secret|password|signature|api-?key|x-kargoweb-test"
)
"""Names of headers whose values are credentials. GitLab sends a receiver's Secret in `X-Gitlab-Token`."""

REDACTED: Final = "[redacted]"
FIELDS: Final = "fields"
"""Name of the attribute of a log record with the values of its message, which `kargoweb.logs.JsonLines` writes."""


def redact(text: str, digest: str = "") -> str:
    """Return `text` with receiver digests cut to their suffix, and without tokens.

    `digest` is the one of the request that the text comes from. It is found even among other hexadecimal characters.
    """
    if digest and digest in text.lower():
        text = _own(digest).sub(rf"{REDACTED}\1", text)
    # Most text is shorter, and this runs for every header and log line.
    if len(text) >= SHORTEST_PART:
        text = DIGEST.sub(rf"{REDACTED}\1", text)
    return BEARER.sub(rf"\1\2{REDACTED}", text)


def redact_body(body: bytes, digest: str) -> bytes:
    """Return the body of a request with the digest of its URL cut to its suffix.

    Other digests are not looked for: an image has one, too, and the tag of a signature contains it.
    """
    if digest.encode() not in body.lower():
        return body
    # Latin-1 maps every byte to a character and back.
    return _own(digest).sub(rf"{REDACTED}\1", body.decode("latin-1")).encode("latin-1")


def redact_headers(headers: Iterable[tuple[str, str]], digest: str = "") -> list[tuple[str, str]]:
    """Return headers without credentials. An Ingress may repeat the URL, and with it the digest, in some of them."""
    return [
        (redact(name, digest), REDACTED if _is_secret(name) else redact(value, digest))
        for name, value in headers
    ]


def _own(digest: str) -> re.Pattern[str]:
    start, suffix = digest[:-SUFFIX_LENGTH], digest[-SUFFIX_LENGTH:]
    return re.compile(f"{start}({suffix})", re.IGNORECASE)


@lru_cache(
    maxsize=1_000
)  # the same names come with every request, and the search takes 1 µs each; senders choose them
def _is_secret(header: str) -> bool:
    """Say whether the value of a header with this name is a credential."""
    return SECRET_HEADERS.search(header) is not None


def _redacted_value(value: object) -> object:
    return escape_invisible(redact(value)) if isinstance(value, str) else value


class RedactCredentials(logging.Filter):
    """A filter for log handlers that removes receiver digests and tokens, and escapes what could control a terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message, its fields and the traceback in place; return True."""
        record.msg, record.args = escape_invisible(redact(record.getMessage())), None
        fields = getattr(record, FIELDS, {})
        setattr(record, FIELDS, {name: _redacted_value(value) for name, value in fields.items()})
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
