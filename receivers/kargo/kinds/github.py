"""Reads GitHub's webhooks: pushes, container packages of the GitHub registry, and closed pull requests.

Source: Kargo's `pkg/webhook/external/github.go`, which decodes bodies with go-github: a wrong type in any field of an
event makes a body invalid. https://docs.github.com/webhooks describes the events and `X-Hub-Signature-256`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo import responses
from receivers.kargo.golang.gojson import JsonType, Shape, Untyped, elements
from receivers.kargo.kinds.decoding import changed_files, decode, is_null
from receivers.kargo.kinds.events import PING, Event, NothingToDo, PullRequest, ignored, unsupported_event
from receivers.kargo.kinds.field_types import read_shapes
from receivers.kargo.kinds.github_fields import FIELDS
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.kinds.signatures import check_hub_signature, hub_signature
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_git

EVENT: Final = "X-GitHub-Event"
SIGNATURE: Final = "X-Hub-Signature-256"

_MAX_COMMITS: Final = 2048
"""GitHub lists at most so many commits. With as many, the list may be incomplete, and Kargo ignores the files."""

# Kargo reads one value of the manifest, which go-github leaves undecoded.
_MANIFEST: Final[Shape] = {"config": Untyped({"media_type": JsonType.LOOSE})}
_SHAPES: Final = read_shapes(FIELDS, {"Manifest": _MANIFEST})
_EVENTS: Final = {
    "push": _SHAPES["PushEvent"],
    "package": _SHAPES["PackageEvent"],
    "registry_package": _SHAPES["RegistryPackageEvent"],
    "ping": _SHAPES["PingEvent"],
    "pull_request": _SHAPES["PullRequestEvent"],
}
_PACKAGE_ACTIONS: Final = frozenset({"published", "updated"})
_CONTAINERS: Final = frozenset({"CONTAINER", "docker"})


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` if the event is not supported, or the body is not signed with the Secret."""
    event = request.headers.first(EVENT)
    if event not in _EVENTS:
        raise unsupported_event(event)
    check_hub_signature(SIGNATURE, request.headers.first(SIGNATURE), request.body, secret)


def read(request: WebhookRequest) -> Event:
    """Return what the event asks for. Raise `InvalidBody` where Kargo responds with 400 or closes the connection."""
    event = request.headers.first(EVENT)
    if event not in _EVENTS:
        raise unsupported_event(event)
    document = decode(request.body, _EVENTS[event])
    if is_null(request.body):
        return NothingToDo(responses.EMPTY, "the body is null")
    match event:
        case "ping":
            return PING
        case "push":
            return _push(document)
        case "pull_request":
            if document.get("action") != "closed":
                return ignored("the pull request was not closed")
            return PullRequest(document.get("pull_request", {}).get("html_url", ""))
        case _:
            return _package(document, event)


def _push(document: Mapping[str, Any]) -> Push:
    repository = document.get("repository", {})
    urls = [repository.get("clone_url", ""), repository.get("ssh_url", "")]
    commits = elements(document.get("commits"))
    if None in commits:
        raise InvalidBody("commits has an element that is null")
    head = document.get("head_commit", {})
    files = changed_files([*commits, head]) if len(commits) < _MAX_COMMITS else ()
    return Push(
        repository=urls[0] or urls[1],
        tag=document.get("ref", ""),
        pusher=document.get("pusher", {}).get("name", ""),
        normalized=tuple(normalize_git(url) for url in urls if url),
        files=files,
        commit=document.get("after", ""),
        is_git=True,
    )


def _package(document: Mapping[str, Any], event: str) -> Event:
    action = document.get("action", "")
    if action not in _PACKAGE_ACTIONS:
        return ignored(f"the action on the package is {action!r}, neither published nor updated")
    package = document.get(event)
    version = None if package is None else package.get("package_version")
    if package is None or version is None:
        raise InvalidBody(f"{event} or its package_version is missing")
    if package.get("package_type") not in _CONTAINERS:
        return ignored("the package is not a container image")
    metadata = version.get("container_metadata", {})
    media_type = metadata.get("manifest", {}).get("config", {}).get("media_type", "")
    return Push(
        repository=version.get("package_url", "").removesuffix(":"),
        tag=metadata.get("tag", {}).get("name", ""),
        media_type=media_type if isinstance(media_type, str) else "",
        pusher=document.get("sender", {}).get("login", ""),
    )


def compose(push: Push) -> bytes:
    """Return the body of GitHub's push event for a push to a repository whose `repository` is its clone URL."""
    url = push.repository
    name = url.partition("://")[2].partition("/")[2].removesuffix(".git")
    host = url.partition("://")[2].partition("/")[0]
    body = {
        "ref": push.tag,
        "before": "0" * 40,
        "after": push.commit,
        "repository": {
            "full_name": name,
            "clone_url": url,
            "ssh_url": f"git@{host}:{name}.git",
            "html_url": url.removesuffix(".git"),
        },
        "pusher": {"name": push.pusher},
        "commits": [{"id": push.commit, "added": [], "removed": [], "modified": list(push.files)}],
        "head_commit": {"id": push.commit, "added": [], "removed": [], "modified": list(push.files)},
    }
    return json.dumps(body).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that GitHub sends with a push event."""
    return {
        "User-Agent": "GitHub-Hookshot/kargoweb",
        EVENT: "push",
        SIGNATURE: hub_signature(body, secret),
    }
