"""Reads the webhooks of Bitbucket Cloud and Data Center: pushes, and pull requests that are merged or declined.

Source: Kargo's `pkg/webhook/external/bitbucket.go`. The events are described at
https://support.atlassian.com/bitbucket-cloud/docs/event-payloads and
https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo.golang.gojson import JsonType, ListOf, Pointer, Shape, Untyped, elements
from receivers.kargo.kinds.decoding import decode
from receivers.kargo.kinds.events import Event, PullRequest, unsupported_event
from receivers.kargo.kinds.signatures import check_hub_signature, hub_signature
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_git

EVENT: Final = "X-Event-Key"
SIGNATURE: Final = "X-Hub-Signature"

_TEXT: Final = JsonType.TEXT
_ACTOR: Final[Shape] = {"name": _TEXT, "emailaddress": _TEXT}
_HREF: Final[Shape] = {"href": _TEXT}
_CLOUD_PUSH: Final[Shape] = {
    "actor": _ACTOR,
    "repository": {"links": {"html": _HREF}},
    "push": {
        "changes": ListOf(
            {"new": Pointer({"type": _TEXT, "name": _TEXT, "target": Untyped({"hash": JsonType.LOOSE})})}
        )
    },
}
_SERVER_PUSH: Final[Shape] = {
    "actor": _ACTOR,
    "repository": {"links": {"clone": ListOf(_HREF)}},
    "changes": ListOf({"ref": {"id": _TEXT}, "tohash": JsonType.LOOSE}),
}
_CLOUD_PULL_REQUEST: Final[Shape] = {"actor": _ACTOR, "pullrequest": {"links": {"html": _HREF}}}
_SERVER_PULL_REQUEST: Final[Shape] = {"actor": _ACTOR, "pullrequest": {"links": {"self": ListOf(_HREF)}}}
_EVENTS: Final = {
    "repo:push": _CLOUD_PUSH,
    "repo:refs_changed": _SERVER_PUSH,
    "pullrequest:fulfilled": _CLOUD_PULL_REQUEST,
    "pullrequest:rejected": _CLOUD_PULL_REQUEST,
    "pr:merged": _SERVER_PULL_REQUEST,
    "pr:declined": _SERVER_PULL_REQUEST,
}


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` if the event is not supported, or the body is not signed with the Secret."""
    _check_event(request)
    check_hub_signature(SIGNATURE, request.headers.first(SIGNATURE), request.body, secret)


def read(request: WebhookRequest) -> Event:
    """Return what the event asks for. Raise `InvalidBody` where Kargo responds with 400."""
    event = _check_event(request)
    shape = _EVENTS[event]
    document = decode(request.body, shape)
    if shape is _CLOUD_PUSH:
        return _cloud_push(document)
    if shape is _SERVER_PUSH:
        return _server_push(document)
    links = document.get("pullrequest", {}).get("links", {})
    if shape is _CLOUD_PULL_REQUEST:
        return PullRequest(links.get("html", {}).get("href", ""))
    return PullRequest(next((link.get("href", "") for link in elements(links.get("self"))), ""))


def _check_event(request: WebhookRequest) -> str:
    event = request.headers.first(EVENT)
    if event not in _EVENTS:
        raise unsupported_event(event)
    return event


def _cloud_push(document: Mapping[str, Any]) -> Push:
    """Return the push of Bitbucket Cloud, whose URL Kargo does not normalize."""
    url = document.get("repository", {}).get("links", {}).get("html", {}).get("href", "")
    news = [change.get("new", {}) for change in elements(document.get("push", {}).get("changes"))]
    refs = [
        f"refs/{'tags' if new.get('type') == 'tag' else 'heads'}/{new['name']}"
        for new in news
        if new.get("name")
    ]
    hashes = [new.get("target", {}).get("hash") for new in news if new.get("name")]
    return _of_refs(url, refs, (url,), hashes)


def _server_push(document: Mapping[str, Any]) -> Push:
    links = elements(document.get("repository", {}).get("links", {}).get("clone"))
    urls = [link["href"] for link in links if link.get("href")]
    refs = [change.get("ref", {}).get("id", "") for change in elements(document.get("changes"))]
    hashes = [change.get("tohash") for change in elements(document.get("changes"))]
    return _of_refs(urls[0] if urls else "", refs, tuple(map(normalize_git, urls)), hashes)


def _of_refs(url: str, refs: list[str], names: tuple[str, ...], hashes: list[Any]) -> Push:
    """Return the push of these references; the commit is only known for sure if there is one."""
    named = [ref for ref in refs if ref]
    commit = hashes[0] if len(hashes) == 1 and isinstance(hashes[0], str) else ""
    return Push(
        url,
        named[0] if named else "",
        other_tags=tuple(named[1:]),
        normalized=names,
        commit=commit,
        is_git=True,
    )


def compose(push: Push) -> bytes:
    """Return the body of Bitbucket Cloud's push event for a push to a repository whose `repository` is its web page."""
    kind, _, name = push.tag.removeprefix("refs/").partition("/")
    new = {"type": "tag" if kind == "tags" else "branch", "name": name, "target": {"hash": push.commit}}
    body = {
        "actor": {"display_name": push.pusher},
        "repository": {"links": {"html": {"href": push.repository}}},
        "push": {"changes": [{"new": new}]},
    }
    return json.dumps(body).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that Bitbucket Cloud sends with a push event."""
    return {
        "User-Agent": "Bitbucket-Webhooks/2.0",
        EVENT: "repo:push",
        SIGNATURE: hub_signature(body, secret),
    }
