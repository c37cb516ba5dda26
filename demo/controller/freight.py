"""Freight made of the newest artifacts that a Warehouse has discovered: its content, its name and its alias.

Source: `buildFreightFromLatestArtifacts` in Kargo's `pkg/controller/warehouses/warehouses.go`, `pkg/api/freight.go` for
the name, and the admission webhook for Freight, which gives it its alias.
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
    """There is no artifact for one of the subscriptions; the text is what Kargo says in that case."""


def build(warehouse: str, artifacts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Freight of the newest artifacts holds beside its metadata. Raises `BuildError`."""
    images = [_image(result) for result in artifacts.get("images", ())]
    charts = [_chart(result) for result in artifacts.get("charts", ())]
    commits = [_commit(result) for result in artifacts.get("git", ())]
    contents = {"images": images, "charts": charts, "commits": commits}
    origin = {"kind": "Warehouse", "name": warehouse}
    return {"origin": origin, **{kind: found for kind, found in contents.items() if found}}


def freight_id(content: Mapping[str, Any], origin: str) -> str:
    """Return the name of Freight: a hash of its content and of its `origin`, `Warehouse/<name>`."""
    parts = sorted(
        [
            *(
                _named(f"{one['repoURL']}:{one['tag']}@{one['digest']}", one)
                for one in content.get("images", ())
            ),
            *(_named(_chart_part(one), one) for one in content.get("charts", ())),
            *(
                _named(f"{normalize_git(one['repoURL'])}:{one['id']}", one)
                for one in content.get("commits", ())
            ),
        ]
    )
    return hashlib.sha1(f"{origin}:{'|'.join(parts)}".encode(), usedforsecurity=False).hexdigest()


def freight_object(
    project: str, name: str, alias: str, content: Mapping[str, Any], discovered_at: str
) -> dict[str, Any]:
    """Return the Freight to create."""
    return {
        "apiVersion": FREIGHTS.api_version,
        "kind": FREIGHTS.kind,
        "metadata": {"name": name, "namespace": project, "labels": {ALIAS_LABEL: alias}},
        "alias": alias,
        "discoveredAt": discovered_at,
        **content,
    }


def created_event(freight: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Return the Kubernetes event that announces new Freight, as of `now` (RFC 3339)."""
    metadata = freight["metadata"]
    project, name = metadata["namespace"], metadata["name"]
    said = {
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
            "annotations": {f"{EVENT_PREFIX}{key}": value for key, value in said.items()},
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
    kept = {key: newest[key] for key in ("tag", "digest", "annotations") if key in newest}
    return {"repoURL": result["repoURL"], **kept, **_subscription_name(result)}


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
    kept = {key: newest[key] for key in ("id", "branch", "author") if key in newest}
    return {
        "repoURL": result["repoURL"],
        **kept,
        "message": newest.get("subject", ""),
        **_subscription_name(result),
    }


def _newest(result: Mapping[str, Any], field: str, problem: str) -> Any:
    found = result.get(field)
    if not found:
        raise BuildError(problem)
    return found[0]


def _subscription_name(result: Mapping[str, Any]) -> dict[str, str]:
    name = result.get("subscriptionName")
    return {"subscriptionName": name} if name else {}


def _chart_part(chart: Mapping[str, Any]) -> str:
    name = f"/{chart['name']}" if chart.get("name") else ""
    return f"{normalize_chart(chart['repoURL'])}{name}:{chart['version']}"


def _named(part: str, artifact: Mapping[str, Any]) -> str:
    name = artifact.get("subscriptionName")
    return f"{part}:{name}" if name else part
