"""What may be shown of a channel's destination, and which destinations are refused."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from receivers.models import AlertChannel, ChannelKind
from receivers.ops.alerts.encryption import Undecryptable, decrypt
from receivers.testfire.forbidden_addresses import is_forbidden

RECEIVER_PATH: Final = re.compile(r"/dockerhub/[0-9a-f]{64}", re.IGNORECASE)


def destination_shown(channel: AlertChannel) -> str:
    """Return where a channel sends: e-mail addresses, or the host of its URL. Paths and queries are credentials."""
    if channel.secret:
        return f"Secret {channel.secret}"
    try:
        address = decrypt(channel.address)
    except Undecryptable as error:
        return f"can't be decrypted: {error}"
    if channel.kind == ChannelKind.EMAIL:
        return address
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def refused_address(url: str) -> str:
    """Return why nothing is sent to a URL, judging by its text alone; empty if that says nothing.

    The addresses of a host name are checked for each message, because they may change.
    """
    host = urlsplit(url).hostname or ""
    if RECEIVER_PATH.search(url):
        return "can't be a receiver URL: each alert would be a failed push"
    try:
        forbidden = is_forbidden(host)
    except ValueError:  # a name
        return ""
    return "can't be a link-local or metadata address" if forbidden else ""
