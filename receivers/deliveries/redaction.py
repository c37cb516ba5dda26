"""Keeps credentials out of log lines and of what is stored."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

DIGEST_LENGTH: Final = 64
DIGEST: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{58}([0-9a-f]{6})(?![0-9a-f])")
BEARER: Final = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]+")
SECRET_HEADERS: Final = re.compile(
    r"(?i)auth|cookie|token|secret|password|signature|api-?key|x-kargoweb-test"
)
"""What the name of a header says whose value is a credential. GitLab sends a receiver's Secret in `X-Gitlab-Token`."""

REDACTED: Final = "[redacted]"


def redact(text: str) -> str:
    """Return `text` with receiver digests cut to their last six characters and tokens taken out."""
    if len(text) >= DIGEST_LENGTH:
        text = DIGEST.sub(rf"{REDACTED}\1", text)
    return BEARER.sub(rf"\1\2{REDACTED}", text)


def redact_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a request without credentials: an Ingress puts the address, and so the digest, in some."""
    return [(name, REDACTED if SECRET_HEADERS.search(name) else redact(value)) for name, value in headers]


class RedactCredentials(logging.Filter):
    """A filter for log handlers: no receiver digest and no token passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message and the traceback in place; always let the record through."""
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
