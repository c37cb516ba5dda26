"""Reads the webhooks of Gitea and Forgejo: pushes and closed pull requests.

Source: Kargo's `pkg/webhook/external/gitea.go`. https://docs.gitea.com/usage/webhooks describes the events. Kargo does
not read `X-Gitea-Signature`, and knows a repository by its `clone_url` only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo.golang.gojson import JsonType, ListOf, Pointer, Shape, elements
from receivers.kargo.kinds.decoding import changed_files, decode
from receivers.kargo.kinds.events import Event, PullRequest, ignored, unsupported_event
from receivers.kargo.kinds.signatures import check_hub_signature, hub_signature
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_git

EVENT: Final = "X-Gitea-Event"
SIGNATURE: Final = "X-Hub-Signature-256"
_NOT_IMPLEMENTED: Final = 501  # Kargo's status for unsupported events of this kind

_COMMIT: Final[Shape] = {
    "added": ListOf(JsonType.TEXT),
    "modified": ListOf(JsonType.TEXT),
    "removed": ListOf(JsonType.TEXT),
}
_PUSH: Final[Shape] = {
    "ref": JsonType.TEXT,
    "after": JsonType.LOOSE,
    "total_commits": JsonType.INTEGER,
    "commits": ListOf(Pointer(_COMMIT)),
    "repository": {"clone_url": JsonType.TEXT},
    "pusher": JsonType.LOOSE,
}
_PULL_REQUEST: Final[Shape] = {"action": JsonType.TEXT, "pull_request": {"html_url": JsonType.TEXT}}
_EVENTS: Final = {"push": _PUSH, "pull_request": _PULL_REQUEST}


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` if the event is not supported, or the body is not signed with the Secret."""
    _check_event(request)
    check_hub_signature(SIGNATURE, request.headers.first(SIGNATURE), request.body, secret)


def read(request: WebhookRequest) -> Event:
    """Return what the event asks for. Raise `InvalidBody` where Kargo responds with 400."""
    event = _check_event(request)
    document = decode(request.body, _EVENTS[event])
    if event == "push":
        return _push(document)
    if document.get("action") != "closed":
        return ignored("the pull request was not closed")
    return PullRequest(document.get("pull_request", {}).get("html_url", ""))


def _check_event(request: WebhookRequest) -> str:
    event = request.headers.first(EVENT)
    if event not in _EVENTS:
        raise unsupported_event(event, _NOT_IMPLEMENTED)
    return event


def _push(document: Mapping[str, Any]) -> Push:
    url = document.get("repository", {}).get("clone_url", "")
    commits = elements(document.get("commits"))
    complete = document.get("total_commits", 0) <= len(commits)
    after = document.get("after")
    return Push(
        repository=url,
        tag=document.get("ref", ""),
        normalized=(normalize_git(url),) if url else (),
        files=changed_files([commit for commit in commits if commit]) if complete else (),
        commit=after if isinstance(after, str) else "",
        is_git=True,
    )


def compose(push: Push) -> bytes:
    """Return the body of Gitea's push event for a push to a repository whose `repository` is its clone URL."""
    commit = {"id": push.commit, "added": [], "removed": [], "modified": list(push.files)}
    body = {
        "ref": push.tag,
        "before": "0" * 40,
        "after": push.commit,
        "total_commits": 1,
        "commits": [commit],
        "head_commit": commit,
        "repository": {"clone_url": push.repository, "html_url": push.repository.removesuffix(".git")},
        "pusher": {"login": push.pusher},
    }
    return json.dumps(body).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that Gitea sends with a push event."""
    return {"User-Agent": "Go-http-client/1.1", EVENT: "push", SIGNATURE: hub_signature(body, secret)}
