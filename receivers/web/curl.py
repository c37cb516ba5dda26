"""A delivery's request as a `curl` command, without the receiver URL, which is a credential."""

from __future__ import annotations

import json
import re
import shlex
from typing import Final

from receivers.models import Delivery

LONGEST: Final = (
    64 << 10
)  # bytes of a body; Docker Hub's have 1 to 10 KB, and shells limit the length of an argument
URL: Final = '"$RECEIVER_URL"'
_PLAIN: Final = re.compile(r"[\x20-\x7e\n]*")
_CONTENT_TYPE: Final = "content-type"
_HARMLESS: Final = re.compile(r"[\x21-\x7e ]{1,200}")


def curl_command(delivery: Delivery) -> str:
    """Return the command that sends the delivery's body to `$RECEIVER_URL`; empty if its body can't be typed.

    Everything is quoted, and only printable ASCII, so that pasting it controls neither a shell nor a terminal.
    """
    body = _typed(delivery.body)
    if not body:
        return ""
    types = [value for name, value in delivery.headers if name.lower() == _CONTENT_TYPE]
    media_type = types[0] if types and _HARMLESS.fullmatch(types[0]) else "application/json"
    return f"curl {URL} -H {shlex.quote(f'Content-Type: {media_type}')} --data-raw {shlex.quote(body)}"


def _typed(body: bytes) -> str:
    """Return a body as text that can be typed: as it is, or the same JSON in ASCII; empty if neither is possible."""
    if not body or len(body) > LONGEST:
        return ""
    try:
        text = body.decode()
        return text if _PLAIN.fullmatch(text) else json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return ""
