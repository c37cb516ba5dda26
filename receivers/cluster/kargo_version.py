"""Find out which version of Kargo runs, because the rules by which subscriptions select tags depend on it.

No permission is needed: every account may read the API server's OpenAPI documents (ClusterRole `system:discovery`),
whose schemas of Kargo's types show a range of versions. Where kargoweb may list the Deployments in Kargo's namespace,
it knows the exact version.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, Unreachable
from receivers.kargo.json_values import as_list, as_map, as_text
from receivers.kargo.kargo_rules import LATEST, KargoRules, rules_of_schema, rules_of_version
from receivers.kargo.resources import DEPLOYMENTS, PROJECT_CONFIGS

log = logging.getLogger(__name__)

REUSED_SECONDS: Final = 60.0  # several watches, which restart every five minutes, share one result

_NAME_LABEL: Final = "app.kubernetes.io/name"
_COMPONENT_LABEL: Final = "app.kubernetes.io/component"
_VERSION_LABEL: Final = "app.kubernetes.io/version"


class VersionSource(StrEnum):
    """Where the version is known from."""

    SETTING = "setting"
    DEPLOYMENT = "deployment"
    SCHEMA = "schema"
    ASSUMED = "assumed"
    """Nothing shows it, so the latest rules apply."""


@dataclass(frozen=True, slots=True)
class KargoVersion:
    """The version of Kargo: exact in `version`, unless only the range of `rules` is known."""

    rules: KargoRules
    source: VersionSource
    version: str = ""


class KargoVersionDetector:
    """Detects the version of Kargo. Thread-safe."""

    def __init__(
        self, namespace: str, configured: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create a detector for the Kargo in `namespace`. A `configured` version overrides what it would detect."""
        self._namespace = namespace
        self._clock = clock
        self._detecting = threading.Lock()
        self._due = 0.0
        rules = rules_of_version(configured)
        self._configured = (
            KargoVersion(rules, VersionSource.SETTING, configured) if rules is not None else None
        )
        self._detected: KargoVersion | None = None

    def latest(self) -> KargoVersion | None:
        """Return the version that was detected last, without a request; None before the first time."""
        return self._configured or self._detected

    def rules(self, cluster: KubernetesClient) -> KargoRules:
        """Return the rules of the version that runs, at most `REUSED_SECONDS` old.

        Raises `Unreachable` if the API server does not respond. If it rejects the requests, the latest rules apply.
        """
        if self._configured is not None:
            return self._configured.rules
        with self._detecting:
            if self._detected is not None and self._clock() < self._due:
                return self._detected.rules
            current = self._detect(cluster)
            if current != self._detected:
                log.info(
                    "Kargo is version %s (%s)", current.version or current.rules.versions, current.source
                )
            self._detected, self._due = current, self._clock() + REUSED_SECONDS
            return current.rules

    def _detect(self, cluster: KubernetesClient) -> KargoVersion:
        if version := _deployed_version(cluster, self._namespace):
            rules = rules_of_version(version)
            if rules is not None:
                return KargoVersion(rules, VersionSource.DEPLOYMENT, version)
        document: Mapping[str, Any] = {}
        try:
            document = cluster.openapi(PROJECT_CONFIGS)
        except Unreachable:
            raise
        except ClusterError as error:
            log.info("Cannot read the schemas of Kargo's types: %s", error)
        rules = rules_of_schema(document)
        if rules is None:
            return KargoVersion(LATEST, VersionSource.ASSUMED)
        return KargoVersion(rules, VersionSource.SCHEMA)


def _deployed_version(cluster: KubernetesClient, namespace: str) -> str:
    """Return the lowest version of the controllers' Deployments; empty if unknown, or if kargoweb may not read them."""
    versions: list[str] = []
    try:
        for page in cluster.list_pages(DEPLOYMENTS, namespace, item=controller_version):
            versions += filter(None, page.items)
    except Unreachable:
        raise
    except ClusterError:
        return ""
    # Controllers of several shards may be upgraded one after the other.
    return min(versions, key=lambda version: rules_of_version(version) or LATEST, default="")


def controller_version(raw: Mapping[str, Any]) -> str:
    """Return the version of a Deployment of Kargo's controller; empty for other Deployments, or if it has none.

    The tag of the image, because the label is that of the chart, whose values may set another tag.
    """
    labels = as_map(as_map(raw.get("metadata")).get("labels"))
    if (labels.get(_NAME_LABEL), labels.get(_COMPONENT_LABEL)) != ("kargo", "controller"):
        return ""
    pod = as_map(as_map(as_map(raw.get("spec")).get("template")).get("spec"))
    images = (as_text(as_map(container).get("image")) for container in as_list(pod.get("containers")))
    tags = (image.partition("@")[0].rpartition(":")[2] for image in images)
    candidates = (*tags, as_text(labels.get(_VERSION_LABEL)))
    return next((text for text in candidates if rules_of_version(text) is not None), "")
