"""Reads GitLab's webhooks: pushes of branches and tags, and merge requests that are merged or closed.

Source: Kargo's `pkg/webhook/external/gitlab.go`, which decodes bodies with GitLab's Go client: a wrong type in any
field of an event makes a body invalid. The events are described at
https://docs.gitlab.com/user/project/integrations/webhook_events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo import responses
from receivers.kargo.golang.gojson import elements
from receivers.kargo.kinds.decoding import changed_files, decode
from receivers.kargo.kinds.events import Cause, Event, PullRequest, Refused, ignored, unsupported_event
from receivers.kargo.kinds.field_types import read_shapes
from receivers.kargo.kinds.gitlab_fields import FIELDS
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.kinds.signatures import equal
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_git

EVENT: Final = "X-Gitlab-Event"
TOKEN: Final = "X-Gitlab-Token"  # noqa: S105 - the name of a header

_SHAPES: Final = read_shapes(FIELDS)
_PUSH, _TAG_PUSH, _MERGE_REQUEST = "Push Hook", "Tag Push Hook", "Merge Request Hook"
_EVENTS: Final = {
    _PUSH: _SHAPES["PushEvent"],
    _TAG_PUSH: _SHAPES["TagEvent"],
    _MERGE_REQUEST: _SHAPES["MergeEvent"],
}
_CLOSING_ACTIONS: Final = frozenset({"merge", "close"})


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` if the token is not the Secret, or the event is not supported.

    Kargo takes a request without a token if the Secret is empty; here it is refused.
    """
    token = request.headers.first(TOKEN)
    if not token:
        raise Refused(responses.UNAUTHORIZED, Cause.SIGNATURE, f"the header {TOKEN} is missing")
    if not equal(token, secret):
        raise Refused(responses.UNAUTHORIZED, Cause.SIGNATURE, f"{TOKEN} doesn't match the receiver's Secret")
    _check_event(request)


def read(request: WebhookRequest) -> Event:
    """Return what the event asks for. Raise `InvalidBody` where Kargo responds with 400 or closes the connection."""
    event = _check_event(request)
    document = decode(request.body, _EVENTS[event])
    if event != _MERGE_REQUEST:
        return _push(document, with_files=event == _PUSH)
    merge_request = document.get("object_attributes", {})
    if merge_request.get("action") not in _CLOSING_ACTIONS:
        return ignored("the merge request was neither merged nor closed")
    return PullRequest(merge_request.get("url", ""))


def _check_event(request: WebhookRequest) -> str:
    event = request.headers.first(EVENT)
    if event not in _EVENTS:
        raise unsupported_event(event)
    return event


def _push(document: Mapping[str, Any], *, with_files: bool) -> Push:
    repository = document.get("repository", {})
    urls = [repository.get("git_http_url", ""), repository.get("git_ssh_url", "")]
    commits = elements(document.get("commits"))
    # GitLab lists at most 20 commits, and says how many there are.
    complete = with_files and document.get("total_commits_count", 0) <= len(commits)
    if complete and None in commits:
        raise InvalidBody("commits has an element that is null")
    return Push(
        repository=urls[0] or urls[1],
        tag=document.get("ref", ""),
        pusher=document.get("user_username", ""),
        normalized=tuple(normalize_git(url) for url in urls if url),
        files=changed_files(commits) if complete else (),
        commit=document.get("checkout_sha", "") or document.get("after", ""),
        is_git=True,
    )


def compose(push: Push) -> bytes:
    """Return the body of GitLab's push event for a push to a repository whose `repository` is its HTTP URL."""
    host, _, name = push.repository.partition("://")[2].partition("/")
    name = name.removesuffix(".git")
    body = {
        "object_kind": "push" if push.tag.startswith("refs/heads/") else "tag_push",
        "before": "0" * 40,
        "after": push.commit,
        "ref": push.tag,
        "checkout_sha": push.commit,
        "user_username": push.pusher,
        "repository": {
            "name": name.rpartition("/")[2],
            "git_http_url": push.repository,
            "git_ssh_url": f"git@{host}:{name}.git",
        },
        "commits": [{"id": push.commit, "added": [], "modified": list(push.files), "removed": []}],
        "total_commits_count": 1,
    }
    return json.dumps(body).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that GitLab sends with a push event."""
    return {
        "User-Agent": "GitLab/kargoweb",
        EVENT: _PUSH if push.tag.startswith("refs/heads/") else _TAG_PUSH,
        TOKEN: secret.decode("latin-1"),
    }
