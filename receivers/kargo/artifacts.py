"""Discovered artifacts (in the status of a Warehouse) and the artifacts that Freight holds.

Source: `DiscoveredArtifacts` and `Freight` in Kargo's `api/v1alpha1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from receivers.kargo.json_values import as_list, as_map, as_text
from receivers.kargo.push import Push
from receivers.kargo.repository_names import normalize_chart, normalize_git, normalize_image
from receivers.kargo.selectors import TAGS
from receivers.kargo.times import parse_time


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image or a chart of one version, or a commit. `repository` is normalized; `digest` is empty but for images.

    `built_at` is when a discovered image was built, as Kargo wrote it, in whole seconds; otherwise empty. The `tag` of
    a commit is its id, and `git_tag` its Git tag, if Kargo selected it by one.
    """

    kind: str
    repository: str
    tag: str
    digest: str
    built_at: str = ""
    git_tag: str = ""

    def is_of(self, push: Push, names: Iterable[str]) -> bool:
        """Say whether this artifact was pushed. `names` are `push.names`.

        A push without a tag matches every artifact of its repository. A tag cannot hold the `+` of a chart version, so
        Helm pushes `_` instead.
        """
        if self.repository not in names:
            return False
        if self.kind == "git":
            # The id that a provider sends for an annotated tag is not that of its commit.
            return push.commit in ("", self.tag) or bool(
                self.git_tag and f"{TAGS}{self.git_tag}" in push.tags
            )
        if push.other_tags and self.tag in push.other_tags:
            return True
        return push.tag in ("", self.tag) or (self.kind == "chart" and push.tag.replace("_", "+") == self.tag)


@dataclass(frozen=True, slots=True)
class DiscoveryResult:
    """The artifacts discovered for one subscription, best first: Kargo creates Freight from the first one."""

    kind: str
    repository: str
    subscription: str
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Freight:
    """A piece of Freight with its images, charts and commits.

    `project` is its namespace and `warehouse` its origin. `created_at` has whole seconds; None if unknown.
    """

    project: str
    name: str
    alias: str
    warehouse: str
    created_at: datetime | None
    artifacts: tuple[Artifact, ...]

    def holds(self, push: Push, digest: str = "") -> Artifact | None:
        """Return the pushed artifact if this Freight holds it. A `digest`, if given, must match where one is known."""
        names = push.names
        return next(
            (
                artifact
                for artifact in self.artifacts
                if artifact.is_of(push, names) and (not digest or artifact.digest in ("", digest))
            ),
            None,
        )


def decode_discovered(warehouse: Mapping[str, Any]) -> tuple[DiscoveryResult, ...]:
    """Return the discovered artifacts in the status of a Warehouse as the API server sent it. Never raises."""
    discovered = as_map(as_map(warehouse.get("status")).get("discoveredArtifacts"))
    images = (_discovered_image(as_map(raw)) for raw in as_list(discovered.get("images")))
    charts = (_discovered_chart(as_map(raw)) for raw in as_list(discovered.get("charts")))
    commits = (_discovered_commits(as_map(raw)) for raw in as_list(discovered.get("git")))
    return (*images, *charts, *commits)


def decode_freight(raw: Mapping[str, Any]) -> Freight:
    """Decode a Freight as the API server sent it. Never raises."""
    metadata, origin = as_map(raw.get("metadata")), as_map(raw.get("origin"))
    images = (
        _image(image, as_text(image.get("repoURL"))) for image in map(as_map, as_list(raw.get("images")))
    )
    charts = (
        _chart(chart, as_text(chart.get("version"))) for chart in map(as_map, as_list(raw.get("charts")))
    )
    commits = (
        _commit(commit, as_text(commit.get("repoURL"))) for commit in map(as_map, as_list(raw.get("commits")))
    )
    return Freight(
        project=as_text(metadata.get("namespace")),
        name=as_text(metadata.get("name")),
        alias=as_text(raw.get("alias")),
        warehouse=as_text(origin.get("name")),
        created_at=parse_time(as_text(metadata.get("creationTimestamp"))),
        artifacts=(*images, *charts, *commits),
    )


def _discovered_image(raw: Mapping[str, Any]) -> DiscoveryResult:
    url = as_text(raw.get("repoURL"))
    artifacts = tuple(_image(reference, url) for reference in map(as_map, as_list(raw.get("references"))))
    return DiscoveryResult("image", normalize_image(url), as_text(raw.get("subscriptionName")), artifacts)


def _discovered_chart(raw: Mapping[str, Any]) -> DiscoveryResult:
    artifacts = tuple(_chart(raw, as_text(version)) for version in as_list(raw.get("versions")))
    url = normalize_chart(as_text(raw.get("repoURL")))
    return DiscoveryResult("chart", url, as_text(raw.get("subscriptionName")), artifacts)


def _discovered_commits(raw: Mapping[str, Any]) -> DiscoveryResult:
    url = as_text(raw.get("repoURL"))
    artifacts = tuple(_commit(commit, url) for commit in map(as_map, as_list(raw.get("commits"))))
    return DiscoveryResult("git", normalize_git(url), as_text(raw.get("subscriptionName")), artifacts)


def _commit(raw: Mapping[str, Any], url: str) -> Artifact:
    return Artifact("git", normalize_git(url), as_text(raw.get("id")), "", git_tag=as_text(raw.get("tag")))


def _image(raw: Mapping[str, Any], url: str) -> Artifact:
    tag, digest, built_at = (as_text(raw.get(key)) for key in ("tag", "digest", "createdAt"))
    return Artifact("image", normalize_image(url), tag, digest, built_at)


def _chart(raw: Mapping[str, Any], version: str) -> Artifact:
    return Artifact("chart", normalize_chart(as_text(raw.get("repoURL"))), version, "")
