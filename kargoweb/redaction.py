"""Keeps credentials out of every log line, wherever it comes from."""

from __future__ import annotations

import logging
import re

DIGEST = re.compile(r"\b[0-9a-f]{58}([0-9a-f]{6})\b")
BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]+")


def redact(text: str) -> str:
    """Return `text` with receiver digests cut to their last six characters and bearer tokens taken out."""
    return BEARER.sub(r"\1[redacted]", DIGEST.sub(r"[redacted]\1", text))


class RedactCredentials(logging.Filter):
    """A filter for handlers: no receiver digest and no bearer token passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the finished message and the traceback text in place; always let the record through."""
        message = record.getMessage()
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
