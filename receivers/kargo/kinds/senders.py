"""Recognizes bodies of other senders that were sent to a Docker Hub receiver by mistake.

Only for a sentence to people: nothing else depends on it. Sources: the senders' documentation of their webhooks, and
the fields that Kargo's `pkg/webhook/external/<kind>.go` read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_FORM_FIELD: Final = b"payload="  # GitHub and Gitea with the content type application/x-www-form-urlencoded

# What to call a body, and the fields that it has; an index is an element of a list. The first that fits wins.
_SHAPES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("a ping from GitHub", ("zen", "hook_id")),
    ("a package event from GitHub", ("action", "package.package_type")),
    ("a package event from GitHub", ("action", "registry_package.package_type")),
    ("a push event from Gitea", ("ref", "compare_url", "repository.full_name")),
    ("a push event from GitHub", ("ref", "repository.full_name")),
    ("an event from GitHub or Gitea", ("repository.full_name", "sender")),
    ("an event from GitLab", ("object_kind",)),
    ("an event from GitLab", ("push_data.ref",)),
    ("an event from Bitbucket", ("push.changes",)),
    ("an event from Bitbucket", ("eventKey", "repository")),
    ("an event from Harbor", ("type", "event_data.repository")),
    ("a notification from Quay", ("docker_url", "homepage")),
    ("an event from Azure Container Registry", ("action", "target", "request.host")),
    ("an event from Azure DevOps", ("eventType", "resource")),
    ("an event from Artifactory", ("domain", "event_type", "data")),
    ("a notification from Alibaba Cloud Container Registry", ("push_data", "repository.repo_full_name")),
    ("an event from Amazon ECR", ("detail-type", "detail.repository-name")),
    ("a Pub/Sub message, as Google Artifact Registry sends", ("message.data", "subscription")),
    ("a notification from a CNCF Distribution registry", ("events.0.action", "events.0.target")),
    ("a CloudEvent", ("specversion", "type", "source")),
)


def resembled_sender(body: bytes) -> str:
    """Return what a body looks like, such as "a ping from GitHub"; empty if it resembles no known sender's."""
    if body.startswith(_FORM_FIELD):
        return "a form from GitHub or Gitea; their webhooks need the content type application/json"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # a body may be thousands of brackets
        return ""
    return next((name for name, fields in _SHAPES if all(_has(document, field) for field in fields)), "")


def _has(document: Any, path: str) -> bool:
    """Say whether a document has a value, other than null, at a path of keys and indexes."""
    value = document
    for key in path.split("."):
        match value:
            case Mapping():
                value = value.get(key)
            case [first, *_] if key == "0":
                value = first
            case _:
                return False
    return value is not None
