"""Who answered a test: we, another kargoweb, Kargo's own server, or something in between."""

from __future__ import annotations

import re
from typing import Final

from receivers.deliveries.redaction import redact
from receivers.kargo import responses
from receivers.kargo.quoting import quoted

_REFRESHED: Final = re.compile(r'\{"msg":"refreshed (\d+) warehouse\(s\)"\}')
_REFUSED: Final = re.compile(r'\{"error":"test refused: ([^"]*)"\}')
_REDIRECTS: Final = range(300, 400)


def not_ours(
    status: int, body: str, *, delivery: str, expected: str, server: str = "", location: str = ""
) -> str:
    """Return a sentence that says who answered a test instead of us; empty if we did.

    `delivery` is what the answer has as `X-Kargoweb-Delivery`, `expected` what ours would have; `server` and `location`
    are headers of the answer. All are empty where there are none.
    """
    if delivery == expected:
        return ""
    text = body.strip()
    if delivery:
        return _another_kargoweb(text, quoted(delivery))
    if status in _REDIRECTS:
        where = f" to {quoted(redact(location))}" if location else ""
        return f"It redirects{where} ({status}). Docker Hub is not known to follow redirects, so this does not either."
    return _kargo(status, text) or _something_else(status, text, server)


def _kargo(status: int, text: str) -> str:
    """Return what an answer in Kargo's words says; empty for any other."""
    if refreshed := _REFRESHED.fullmatch(text):
        return (
            f"Kargo’s own server answered, not kargoweb. It knows of no tests: it took this for a push, and refreshed "
            f"{refreshed[1]} Warehouse(s), also in a dry run."
        )
    if (status, text) == (404, "{}"):
        return (
            "Something that answers as Kargo does says that there is no such receiver (404): Kargo’s own server, or a "
            "kargoweb in front of another cluster."
        )
    if text.encode() == responses.UNAVAILABLE.body.strip():
        return "kargoweb answered that it is not ready to take pushes (503). Try again in a moment."
    return ""


def _another_kargoweb(text: str, delivery: str) -> str:
    if refused := _REFUSED.fullmatch(text):
        return (
            f"A kargoweb refused the test: {refused[1]}. If that is about the key, another kargoweb than this one "
            f"answers there, with another secret key; its delivery is {delivery}."
        )
    return (
        f"Something else answered: its delivery is {delivery}, which is not the one of this test. An earlier kargoweb "
        "takes tests for pushes."
    )


def _something_else(status: int, text: str, server: str) -> str:
    who = (
        f"Something else answered, which calls itself {quoted(server)}"
        if server
        else "Something else answered"
    )
    what = f"Its answer begins with {quoted(redact(text))}." if text else "Its answer is empty."
    return f"{who}: status {status}. {what}"
