"""Sends a message to a channel: one POST, or one e-mail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from smtplib import SMTPException
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from kargoweb import VERSION
from receivers.models import TEXT_LENGTH, AlertChannel, ChannelKind, storable
from receivers.ops.alerts.bulletin import Bulletin, as_json
from receivers.ops.alerts.encryption import Undecryptable, decrypt
from receivers.testfire.probe import ProbeError, TooManyProbes, post

KEY_PREFIX: Final = "whsec_"  # as Standard Webhooks writes keys
KEY_BYTES: Final = 32
SHORTEST_KEY: Final = 24  # bytes, as Standard Webhooks asks for
LONGEST_KEY: Final = 64
TIMEOUT: Final = 10.0  # seconds for one attempt
# Requests at the same time: the one that sends alerts, and a few tests.
_slots: Final = threading.BoundedSemaphore(4)

AGENT: Final = f"kargoweb/{VERSION}"
ANSWER_SHOWN: Final = 150  # characters of a response


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a channel sends: a URL and the signing key, or e-mail addresses."""

    address: str
    signing_key: str = ""


@dataclass(frozen=True, slots=True)
class SendResult:
    """Whether a message arrived, the response, and how many seconds the other side asked to wait."""

    ok: bool
    answer: str
    retry_after: float = 0.0


class NoDestination(Exception):
    """The address of a channel can't be read. The text says why, as part of a sentence."""


Lookup = Callable[[AlertChannel], Destination]
"""Return the destination in the channel's Kubernetes Secret. Raises `NoDestination`."""


def new_signing_key() -> str:
    """Return a random key."""
    return KEY_PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def check_signing_key(key: str) -> None:
    """Raise ValueError with what a key must be, unless it is one."""
    try:
        long_enough = SHORTEST_KEY <= len(_signing_bytes(key)) <= LONGEST_KEY
    except ValueError:
        long_enough = False
    if not long_enough or not key.startswith(KEY_PREFIX):
        raise ValueError(
            f"must be {KEY_PREFIX} followed by {SHORTEST_KEY} to {LONGEST_KEY} bytes in base64, such as "
            f'"{KEY_PREFIX}$(openssl rand -base64 32)"'
        )


def signature(key: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the `webhook-signature` of a message. Source: standardwebhooks.com, "Symmetric signatures"."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_signing_bytes(key), signed, hashlib.sha256).digest()).decode()


def _signing_bytes(key: str) -> bytes:
    """Return the bytes of a key in the notation of Standard Webhooks. Raises ValueError."""
    return base64.b64decode(key.removeprefix(KEY_PREFIX), validate=True)


def destination_of(channel: AlertChannel, look_up: Lookup) -> Destination:
    """Return where a channel sends. Raises `NoDestination`."""
    if channel.secret:
        return look_up(channel)
    try:
        return Destination(decrypt(channel.address), decrypt(channel.signing_key))
    except Undecryptable as error:
        raise NoDestination(str(error)) from None


def send(channel: AlertChannel, bulletin: Bulletin, look_up: Lookup) -> SendResult:
    """Send a message once. Never raises because of the other side."""
    try:
        destination = destination_of(channel, look_up)
    except NoDestination as error:
        return SendResult(False, storable(f"the destination can't be read: {error}"))
    match channel.kind:
        case ChannelKind.EMAIL:
            result = _send_mail(destination, bulletin)
        case ChannelKind.SLACK:
            result = _post(destination.address, as_json(bulletin.slack()), {})
        case _:
            result = _post_signed(destination, bulletin)
    return SendResult(result.ok, storable(result.answer, TEXT_LENGTH), result.retry_after)


def _post_signed(destination: Destination, bulletin: Bulletin) -> SendResult:
    body, timestamp = as_json(bulletin.webhook()), str(int(time.time()))
    headers = {"webhook-id": str(bulletin.id), "webhook-timestamp": timestamp}
    try:
        # Checked here, too: a Kubernetes Secret may contain anything, and nothing is sent that an empty key signed.
        check_signing_key(destination.signing_key)
    except ValueError as error:
        return SendResult(False, f"the signing key {error}")
    headers["webhook-signature"] = signature(destination.signing_key, headers["webhook-id"], timestamp, body)
    return _post(destination.address, body, headers)


def _post(url: str, body: bytes, headers: dict[str, str]) -> SendResult:
    try:
        host = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return SendResult(False, "the URL is invalid")
    common = {"Content-Type": "application/json; charset=utf-8", "User-Agent": AGENT}
    try:
        response = post(url, body, common | headers, TIMEOUT, _slots)
    except ProbeError as error:
        return SendResult(False, f"{host}: {error}")
    except TooManyProbes:
        return SendResult(False, "too many messages are being sent; try again in a few seconds")
    text = " ".join(response.body.split())[:ANSWER_SHOWN]
    answer = f"{response.status} {text}".strip()
    return SendResult(200 <= response.status < 300, answer, _seconds(response.retry_after))


def _send_mail(destination: Destination, bulletin: Bulletin) -> SendResult:
    if not settings.KARGOWEB.alerts.email:
        return SendResult(False, "KARGOWEB_EMAIL_URL is not set, so kargoweb can't send e-mail")
    to = [address.strip() for address in destination.address.split(",") if address.strip()]
    host = urlsplit(settings.KARGOWEB.base_url).hostname or "localhost"
    headers = {"Message-ID": f"<{bulletin.id}@{host}>", "Auto-Submitted": "auto-generated"}
    subject = " ".join(f"[kargoweb] {bulletin.title}".split())
    mail = EmailMessage(subject, bulletin.text(), settings.DEFAULT_FROM_EMAIL, to, headers=headers)
    try:
        mail.send()
    except (OSError, SMTPException, ValueError) as error:
        return SendResult(False, f"the mail server: {error}")
    return SendResult(True, f"accepted for {len(to)} {'address' if len(to) == 1 else 'addresses'}")


def _seconds(retry_after: str) -> float:
    """Return the seconds of a Retry-After header; 0 for a date, which is as good as none for a backoff."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
