"""Keep credentials out of log lines and of the database."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from receivers.kargo.receiver_path import DIGEST_LENGTH, SUFFIX_LENGTH

DIGEST: Final = re.compile(
    rf"(?<![0-9a-f])[0-9a-f]{{{DIGEST_LENGTH - SUFFIX_LENGTH}}}([0-9a-f]{{{SUFFIX_LENGTH}}})(?![0-9a-f])"
)
BEARER: Final = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]+")
SECRET_HEADERS: Final = re.compile(
    r"(?i)auth|cookie|token|secret|password|signature|api-?key|x-kargoweb-test"
)
"""Names of headers whose values are credentials. GitLab sends a receiver's Secret in `X-Gitlab-Token`."""

REDACTED: Final = "[redacted]"


def redact(text: str) -> str:
    """Return `text` with receiver digests cut to their suffix, and without tokens."""
    # Most text is shorter, and this runs for every header and log line.
    if len(text) >= DIGEST_LENGTH:
        text = DIGEST.sub(rf"{REDACTED}\1", text)
    return BEARER.sub(rf"\1\2{REDACTED}", text)


def redact_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers without credentials. An Ingress may repeat the URL, and with it the digest, in some of them."""
    return [(name, REDACTED if _is_secret(name) else redact(value)) for name, value in headers]


@lru_cache(
    maxsize=1_000
)  # the same names come with every request, and the search takes 1 µs each; senders choose them
def _is_secret(header: str) -> bool:
    """Say whether the value of a header with this name is a credential."""
    return SECRET_HEADERS.search(header) is not None


class RedactCredentials(logging.Filter):
    """A filter for log handlers that removes receiver digests and tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message and the traceback in place; return True."""
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
