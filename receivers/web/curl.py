"""A delivery's request as a `curl` command, without the receiver URL, which is a credential."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Final

from receivers.models import Delivery

LONGEST: Final = (
    64 << 10
)  # bytes of a body; Docker Hub's have 1 to 10 KB, and shells limit the length of an argument
URL: Final = '"$RECEIVER_URL"'
_PLAIN: Final = re.compile(r"[\x20-\x7e\n]*")
_CONTENT_TYPE: Final = "content-type"
_HARMLESS: Final = re.compile(r"[\x21-\x7e ]{1,200}")


@dataclass(frozen=True, slots=True)
class _Sender:
    """The header with the event, and the one with the signature or token, as the shell expands it."""

    event: str = ""
    credential: str = ""


_HMAC: Final = """$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$RECEIVER_SECRET" | sed 's/.* //')"""
_SENDERS: Final = {
    "artifactory": _Sender("", f"X-JFrog-Event-Auth: {_HMAC}"),
    "azure": _Sender("User-Agent"),
    "bitbucket": _Sender("X-Event-Key", f"X-Hub-Signature: sha256={_HMAC}"),
    "gitea": _Sender("X-Gitea-Event", f"X-Hub-Signature-256: sha256={_HMAC}"),
    "github": _Sender("X-GitHub-Event", f"X-Hub-Signature-256: sha256={_HMAC}"),
    "gitlab": _Sender("X-Gitlab-Event", "X-Gitlab-Token: $RECEIVER_SECRET"),
    "harbor": _Sender("", "Authorization: $RECEIVER_SECRET"),
}


def curl_command(delivery: Delivery) -> str:
    """Return the command that sends the delivery's body to `$RECEIVER_URL`; empty if its body can't be typed.

    Everything is quoted, and only printable ASCII, so that pasting it controls neither a shell nor a terminal.
    """
    body = _typed(delivery.body)
    if not body:
        return ""
    sender = _SENDERS.get(delivery.kind)
    if sender is not None:
        return _signed(delivery, body, sender)
    types = [value for name, value in delivery.headers if name.lower() == _CONTENT_TYPE]
    media_type = types[0] if types and _HARMLESS.fullmatch(types[0]) else "application/json"
    return f"curl {URL} -H {shlex.quote(f'Content-Type: {media_type}')} --data-raw {shlex.quote(body)}"


def _signed(delivery: Delivery, body: str, sender: _Sender) -> str:
    """Return the command for a kind whose requests have headers. `$RECEIVER_SECRET` is the value of the Secret."""
    values = {name.lower(): value for name, value in delivery.headers}
    event = values.get(sender.event.lower(), "")
    lines = [f"BODY={shlex.quote(body)}", f"curl {URL} -H 'Content-Type: application/json' \\"]
    if sender.event and _HARMLESS.fullmatch(event):
        lines.append(f"  -H {shlex.quote(f'{sender.event}: {event}')} \\")
    if sender.credential:
        lines.append(f'  -H "{sender.credential}" \\')
    return "\n".join([*lines, '  --data-raw "$BODY"'])


def _typed(body: bytes) -> str:
    """Return a body as text that can be typed: as it is, or the same JSON in ASCII; empty if neither is possible."""
    if not body or len(body) > LONGEST:
        return ""
    try:
        text = body.decode()
        return text if _PLAIN.fullmatch(text) else json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return ""
