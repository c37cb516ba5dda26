"""Build Freight from the newest artifacts of a Warehouse: its content, name and object, and the event about it.

Source: `buildFreightFromLatestArtifacts` in Kargo's `pkg/controller/warehouses/warehouses.go`, `pkg/api/freight.go` for
the name, and the admission webhook for Freight, which sets the alias.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo.repository_names import normalize_chart, normalize_git
from receivers.kargo.resources import FREIGHTS

ALIAS_LABEL: Final = "kargo.akuity.io/alias"
EVENT_PREFIX: Final = "event.kargo.akuity.io/"
ACTOR: Final = "controller:warehouse-controller"


class BuildError(Exception):
    """A subscription has no artifact. The message is Kargo's."""


def build(warehouse: str, artifacts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of Freight with the newest artifacts, without metadata. Raises `BuildError`."""
    images = [_image(result) for result in artifacts.get("images", ())]
    charts = [_chart(result) for result in artifacts.get("charts", ())]
    commits = [_commit(result) for result in artifacts.get("git", ())]
    contents = {"images": images, "charts": charts, "commits": commits}
    origin = {"kind": "Warehouse", "name": warehouse}
    return {"origin": origin, **{kind: artifacts for kind, artifacts in contents.items() if artifacts}}


def freight_id(content: Mapping[str, Any], origin: str) -> str:
    """Return the name of Freight: a hash of its content and its origin (`Warehouse/<name>`)."""
    parts = sorted(
        [
            *(
                _named(f"{image['repoURL']}:{image['tag']}@{image['digest']}", image)
                for image in content.get("images", ())
            ),
            *(_named(_chart_part(chart), chart) for chart in content.get("charts", ())),
            *(
                _named(f"{normalize_git(commit['repoURL'])}:{commit['id']}", commit)
                for commit in content.get("commits", ())
            ),
        ]
    )
    return hashlib.sha1(f"{origin}:{'|'.join(parts)}".encode(), usedforsecurity=False).hexdigest()


def freight_object(
    project: str, name: str, alias: str, content: Mapping[str, Any], discovered_at: str
) -> dict[str, Any]:
    """Return the Freight object."""
    return {
        "apiVersion": FREIGHTS.api_version,
        "kind": FREIGHTS.kind,
        "metadata": {"name": name, "namespace": project, "labels": {ALIAS_LABEL: alias}},
        "alias": alias,
        "discoveredAt": discovered_at,
        **content,
    }


def created_event(freight: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Return the Kubernetes event about new Freight. `now` is in RFC 3339."""
    metadata = freight["metadata"]
    project, name = metadata["namespace"], metadata["name"]
    annotations = {
        "actor": ACTOR,
        "project": project,
        "freight-name": name,
        "freight-alias": freight["alias"],
        "freight-create-time": metadata.get("creationTimestamp", now),
        "freight-warehouse-name": freight["origin"]["name"],
        "stage-name": "",
    } | {
        f"freight-{kind}": json.dumps(freight[kind])
        for kind in ("commits", "images", "charts")
        if kind in freight
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{name}.{secrets.token_hex(8)}",
            "namespace": project,
            "annotations": {f"{EVENT_PREFIX}{key}": value for key, value in annotations.items()},
        },
        "involvedObject": {
            "apiVersion": FREIGHTS.api_version,
            "kind": FREIGHTS.kind,
            "namespace": project,
            "name": name,
        },
        "type": "Normal",
        "reason": "FreightCreated",
        "message": "Freight created from discovered artifacts",
        "source": {"component": "warehouse-controller"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _image(result: Mapping[str, Any]) -> dict[str, Any]:
    newest = _newest(result, "references", f'no images discovered for repository "{result["repoURL"]}"')
    fields = {key: newest[key] for key in ("tag", "digest", "annotations") if key in newest}
    return {"repoURL": result["repoURL"], **fields, **_subscription_name(result)}


def _chart(result: Mapping[str, Any]) -> dict[str, Any]:
    url, name = result["repoURL"], result.get("name", "")
    newest = _newest(result, "versions", f'no versions discovered for chart "{url}" from repository "{name}"')
    return {
        "repoURL": url,
        **({"name": name} if name else {}),
        "version": newest,
        **_subscription_name(result),
    }


def _commit(result: Mapping[str, Any]) -> dict[str, Any]:
    newest = _newest(result, "commits", f'no commits discovered for repository "{result["repoURL"]}"')
    fields = {key: newest[key] for key in ("id", "branch", "author") if key in newest}
    return {
        "repoURL": result["repoURL"],
        **fields,
        "message": newest.get("subject", ""),
        **_subscription_name(result),
    }


def _newest(result: Mapping[str, Any], field: str, problem: str) -> Any:
    artifacts = result.get(field)
    if not artifacts:
        raise BuildError(problem)
    return artifacts[0]


def _subscription_name(result: Mapping[str, Any]) -> dict[str, str]:
    name = result.get("subscriptionName")
    return {"subscriptionName": name} if name else {}


def _chart_part(chart: Mapping[str, Any]) -> str:
    name = f"/{chart['name']}" if chart.get("name") else ""
    return f"{normalize_chart(chart['repoURL'])}{name}:{chart['version']}"


def _named(part: str, artifact: Mapping[str, Any]) -> str:
    name = artifact.get("subscriptionName")
    return f"{part}:{name}" if name else part
