"""Read the URL of a mail server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

PORTS: Final = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
"""By scheme: without encryption, with STARTTLS, with TLS from the start."""


@dataclass(frozen=True, slots=True)
class EmailServer:
    """A mail server. The user is empty if it asks for none."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)


def email_server(value: str) -> EmailServer:
    """Parse a URL such as `smtp+tls://user:password@mail.example.com`. Raises ValueError with what it must be."""
    problem = (
        "must be smtp://host:port, smtp+tls://user:password@host:port (STARTTLS) or smtps://user:password@host:port; "
        "escape special characters of the password as in a URL"
    )
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(problem) from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query or port == 0:
        raise ValueError(problem)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return EmailServer(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, password)
