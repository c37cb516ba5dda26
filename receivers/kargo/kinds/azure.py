"""Reads the webhooks of two products of Azure: Container Registry and DevOps (Azure Repos).

The URL is the only credential. Source: Kargo's `pkg/webhook/external/azure.go`. The events are described at
https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference and
https://learn.microsoft.com/azure/devops/service-hooks/events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo import responses
from receivers.kargo.golang.gojson import JsonType, ListOf, Shape, elements
from receivers.kargo.kinds.decoding import decode
from receivers.kargo.kinds.events import PING, Cause, Event, PullRequest, Refused, ignored, unsupported_event
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_git

_REGISTRY: Final = "AzureContainerRegistry"
_DEVOPS: Final = "VSServices"

_TEXT: Final = JsonType.TEXT
_REGISTRY_EVENT: Final[Shape] = {
    "action": _TEXT,
    "target": {"mediatype": _TEXT, "repository": _TEXT, "tag": _TEXT},
    "request": {"host": _TEXT},
}
_DEVOPS_EVENT: Final[Shape] = {
    "eventtype": _TEXT,
    "resource": {
        "status": _TEXT,
        "pullrequestid": JsonType.INTEGER,
        "repository": {"remoteurl": _TEXT},
        "refupdates": ListOf({"name": _TEXT, "newobjectid": JsonType.LOOSE}),
        "_links": {"web": {"href": _TEXT}},
    },
}


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` if neither product has sent the request."""
    _product(request)


def read(request: WebhookRequest) -> Event:
    """Return what the event asks for. Raise `InvalidBody` or `Refused` where Kargo responds with 400."""
    if _product(request) == _REGISTRY:
        return _registry_event(decode(request.body, _REGISTRY_EVENT))
    return _devops_event(decode(request.body, _DEVOPS_EVENT))


def _product(request: WebhookRequest) -> str:
    agent = request.headers.first("User-Agent")
    for product in (_REGISTRY, _DEVOPS):
        if agent.startswith(product):
            return product
    raise Refused(
        responses.refused(400, "request does not appear to have originated from a supported service"),
        Cause.EVENT,
        f"the User-Agent begins with neither {_REGISTRY} nor {_DEVOPS}",
    )


def _registry_event(document: Mapping[str, Any]) -> Event:
    action, target = document.get("action", ""), document.get("target", {})
    if action == "ping":
        return PING
    if action != "push":
        raise unsupported_event(action)
    host = document.get("request", {}).get("host", "")
    return Push(
        repository=f"{host}/{target.get('repository', '')}",
        tag=target.get("tag", ""),
        media_type=target.get("mediatype", ""),
    )


def _devops_event(document: Mapping[str, Any]) -> Event:
    event, resource = document.get("eventtype", ""), document.get("resource", {})
    if event == "git.push":
        return _push(resource)
    if event not in {"git.pullrequest.merged", "git.pullrequest.updated"}:
        raise unsupported_event(event)
    if event == "git.pullrequest.updated" and resource.get("status") != "abandoned":
        return ignored("the pull request was not closed")
    return PullRequest(resource.get("_links", {}).get("web", {}).get("href", ""))


def _push(resource: Mapping[str, Any]) -> Push:
    url = resource.get("repository", {}).get("remoteurl", "")
    updates = [update for update in elements(resource.get("refupdates")) if update.get("name")]
    refs = [update["name"] for update in updates]
    commit = updates[0].get("newobjectid") if len(updates) == 1 else ""
    return Push(
        repository=url,
        tag=refs[0] if refs else "",
        other_tags=tuple(refs[1:]),
        normalized=(normalize_git(url),) if url else (),
        commit=commit if isinstance(commit, str) else "",
        is_git=True,
    )


def compose(push: Push) -> bytes:
    """Return the body of Azure DevOps for commits, and of Azure Container Registry for an artifact."""
    if push.tag.startswith("refs/"):
        update = {"name": push.tag, "newObjectId": push.commit}
        resource = {"refUpdates": [update], "repository": {"remoteUrl": push.repository}}
        return json.dumps({"eventType": "git.push", "resource": resource}).encode()
    host, _, repository = push.repository.partition("/")
    target = {"repository": repository, "tag": push.tag, "mediaType": push.media_type}
    return json.dumps({"action": "push", "target": target, "request": {"host": host}}).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that tell the products apart."""
    product = _DEVOPS if push.tag.startswith("refs/") else _REGISTRY
    return {"User-Agent": f"{product}/kargoweb"}
