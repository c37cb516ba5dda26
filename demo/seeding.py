"""Create the demo's example data: objects from `manifests/`, and tags. Existing data is not changed."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from demo.registry import IMAGE_INDEX, Registry
from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import AlreadyExists
from receivers.kargo.resources import CLUSTER_CONFIGS, PROJECT_CONFIGS, PROJECTS, SECRETS, WAREHOUSES
from receivers.kargo.stages import STAGES

MANIFESTS: Final = Path(__file__).with_name("manifests")
RANDOM: Final = "<random>"
APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
CHART: Final = "application/vnd.cncf.helm.config.v1+json"
DAY: Final = 86_400.0  # seconds

_RESOURCES: Final = {
    resource.kind: resource
    for resource in (PROJECTS, PROJECT_CONFIGS, CLUSTER_CONFIGS, WAREHOUSES, SECRETS, STAGES)
}
_TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "example/repo": ("0.9.0", "1.0.0", "1.0.1", "1.1.0", "1.2.0-rc.1", "1.2.0", "latest"),
    "acme/storefront-api": ("2.3.7", "2.4.0", "2.4.1", "2.5.0", "3.0.0-beta.1", "sha-4f1c2ab", "latest"),
    "acme/storefront-web": ("2026-01-12", "2026-01-19", "latest"),
    "acme/checkout": ("nightly-20251231", "nightly-20260118", "nightly-20260119", "1.8.2", "latest"),
    "acme/storefront-chart": ("0.8.4", "0.9.0", "0.9.1", "1.0.0-alpha.1"),
    "quay.io/acme/agent": ("1.0.0", "1.1.0"),
    "harbor.example.com/platform/gateway": ("2.0.0", "2.1.0"),
}
"""Tags of each repository from the oldest to the newest, one day apart."""


def seed_objects(cluster: KubernetesClient) -> None:
    """Create the objects of the manifests that do not exist. Raises `ClusterError`."""
    for manifest in manifests():
        metadata = manifest["metadata"]
        # As set by `kubectl apply`, which otherwise warns when a user applies a change.
        applied = json.dumps(manifest, separators=(",", ":")) + "\n"
        annotations = metadata.get("annotations", {}) | {APPLIED: applied}
        body = manifest | {"metadata": metadata | {"annotations": annotations}}
        try:
            cluster.create(_RESOURCES[manifest["kind"]], body, metadata.get("namespace"))
        except AlreadyExists:
            continue


def manifests() -> Iterator[dict[str, Any]]:
    """Yield the objects of all manifests in order, with a new random value for each `<random>` in a Secret."""
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield _with_random_values(document)


def seed_tags(registry: Registry) -> None:
    """Push the tags of the repositories that are not in the registry yet."""
    existing, now = registry.repositories(), time.time()
    for repository in _TAGS.keys() - existing:
        tags = _TAGS[repository]
        for age, tag in zip(range(len(tags), 0, -1), tags, strict=True):
            media_type = CHART if repository.endswith("-chart") else IMAGE_INDEX
            registry.put(repository, tag, media_type=media_type, created_at=now - age * DAY)


def _with_random_values(manifest: dict[str, Any]) -> dict[str, Any]:
    values = manifest.get("stringData")
    if not values:
        return manifest
    values = {key: secrets.token_urlsafe(24) if value == RANDOM else value for key, value in values.items()}
    return manifest | {"stringData": values}
