"""Identifies the server that responded to a test push: this kargoweb, another one, Kargo, or something in between."""

from __future__ import annotations

import re
from typing import Final

from receivers.deliveries.redaction import redact
from receivers.kargo import responses
from receivers.kargo.quoting import quoted

_REFRESHED: Final = re.compile(r'\{"msg":"refreshed (\d+) warehouse\(s\)"\}')
_REFUSED: Final = re.compile(r'\{"error":"test refused: ([^"]*)"\}')
_REDIRECTS: Final = range(300, 400)


def describe_other_responder(
    status: int, body: str, *, delivery: str, expected: str, server: str = "", location: str = ""
) -> str:
    """Return a sentence about the server that responded instead of this kargoweb, or "" if this one did.

    `delivery` is the `X-Kargoweb-Delivery` header of the response, `expected` the value that this kargoweb sends;
    `server` and `location` are headers of the response. Missing headers are empty.
    """
    if delivery == expected:
        return ""
    text = body.strip()
    if delivery:
        return _another_kargoweb(text, quoted(delivery))
    if status in _REDIRECTS:
        target = f" to {quoted(redact(location))}" if location else ""
        return (
            f"The URL redirects{target} (status {status}). Webhooks usually don't follow redirects, and neither do "
            "test pushes."
        )
    return _kargo(status, text) or _unknown_server(status, text, server)


def _kargo(status: int, text: str) -> str:
    """Return a sentence about a response in Kargo's format, or "" for any other."""
    if refreshed := _REFRESHED.fullmatch(text):
        return (
            "Kargo’s own server responded, not kargoweb. It treats tests as pushes, even dry runs, so it refreshed "
            f"{refreshed[1]} Warehouse(s)."
        )
    if (status, text) == (404, "{}"):
        return (
            "A server that responds like Kargo doesn’t know this receiver (404). It is Kargo’s own server, or a "
            "kargoweb for another cluster."
        )
    if text.encode() == responses.UNAVAILABLE.body.strip():
        return "kargoweb isn’t ready to accept pushes (503). Try again in a moment."
    return ""


def _another_kargoweb(text: str, delivery: str) -> str:
    if refused := _REFUSED.fullmatch(text):
        return (
            f"A kargoweb refused the test: {quoted(redact(refused[1]))}. If the reason is the key, another kargoweb "
            f"with a different secret key serves this URL. Its delivery is {delivery}."
        )
    return (
        f"Another server responded with delivery {delivery}, which isn’t the delivery of this test. It may be an older "
        "kargoweb, which treats tests as pushes."
    )


def _unknown_server(status: int, text: str, server: str) -> str:
    name = f"Another server ({quoted(server)}) responded" if server else "Another server responded"
    content = f"The response starts with {quoted(redact(text))}." if text else "The response is empty."
    return f"{name} with status {status}. {content}"
