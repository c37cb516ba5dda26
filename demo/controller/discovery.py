"""Discover artifacts as Kargo does: select, sort and limit the tags of each subscription.

Source: Kargo's `pkg/subscription/{image,chart}.go`, `pkg/image/*_selector.go` and `pkg/helm/chart/oci_selector.go`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from demo.commits import PushedCommit, decode_commit
from demo.registry import Tag
from receivers.kargo import semver
from receivers.kargo.repository_names import normalize_git
from receivers.kargo.selectors import BRANCHES, TAGS, GitSelector, Selector
from receivers.kargo.subscriptions import decode_subscription

ListTags = Callable[[str], Sequence[Tag]]
"""Return the tags of a repository. Raises `DiscoveryError` if the registry rejects the request."""

ANY_TAG: Final = "latest"  # evaluated to find out whether a selector is valid


class DiscoveryError(Exception):
    """Discovery failed. The message is Kargo's."""


def discover(subscriptions: Iterable[Any], list_tags: ListTags) -> dict[str, Any]:
    """Return `status.discoveredArtifacts` without the time. Raises `DiscoveryError` if any subscription fails."""
    artifacts: dict[str, list[dict[str, Any]]] = {}
    for raw in subscriptions:
        kind = next((kind for kind in _KINDS if isinstance(raw, Mapping) and kind in raw), "")
        if not kind:
            raise DiscoveryError(
                "error finding subscriber for subscription: no registered value matched the subscription"
            )
        field, discover_one = _KINDS[kind]
        try:
            result = discover_one(raw, list_tags)
        except DiscoveryError as error:
            raise DiscoveryError(f"error discovering artifacts: {error}") from error
        name = raw.get("name")
        artifacts.setdefault(field, []).append(result | ({"subscriptionName": name} if name else {}))
    return artifacts


def rfc3339(seconds: float) -> str:
    """Return a Unix timestamp as Kubernetes writes times: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _image(raw: Mapping[str, Any], list_tags: ListTags) -> dict[str, Any]:
    image = raw["image"]
    url = image.get("repoURL", "")
    selector = _valid_selector(raw, f'error obtaining selector for image "{url}"')
    try:
        tags = [tag for tag in list_tags(url) if selector.evaluate(tag.name).matches]
    except DiscoveryError as error:
        raise DiscoveryError(f'error discovering newest applicable images "{url}": {error}') from error
    ordered = _ORDERS.get(image.get("imageSelectionStrategy", ""), _by_semver)(tags, image)
    platform = {"platform": image["platform"]} if image.get("platform") else {}
    return {"repoURL": url, **platform, "references": [_reference(tag) for tag in ordered]}


def _reference(tag: Tag) -> dict[str, Any]:
    return {"tag": tag.name, "digest": tag.digest, "createdAt": rfc3339(tag.created_at)}


def _valid_selector(raw: Mapping[str, Any], context: str) -> Selector:
    selector = decode_subscription(raw).selector
    evaluation = selector.evaluate(ANY_TAG)
    if evaluation.matches is None:
        raise DiscoveryError(f"{context}: {evaluation.reason}")
    return selector


def _by_semver(tags: Sequence[Tag], image: Mapping[str, Any]) -> Sequence[Tag]:
    strict = image.get("strictSemvers") is True
    versions = ((semver.parse_tag(tag.name, strict=strict), tag) for tag in tags)
    ordered = sorted(
        ((semver.order(version), tag.name, tag) for version, tag in versions if version),
        key=lambda entry: entry[:2],
        reverse=True,
    )
    return _limited([tag for _, _, tag in ordered], image)


def _by_name(tags: Sequence[Tag], image: Mapping[str, Any]) -> Sequence[Tag]:
    return _limited(sorted(tags, key=lambda tag: tag.name, reverse=True), image)


def _by_age(tags: Sequence[Tag], image: Mapping[str, Any]) -> Sequence[Tag]:
    return _limited(sorted(tags, key=lambda tag: (tag.created_at, tag.name), reverse=True), image)


def _unsorted(tags: Sequence[Tag], _image: Mapping[str, Any]) -> Sequence[Tag]:
    return tags  # Digest selects one tag


_ORDERS: Final[Mapping[str, Callable[[Sequence[Tag], Mapping[str, Any]], Sequence[Tag]]]] = {
    "SemVer": _by_semver,
    "Lexical": _by_name,
    "NewestBuild": _by_age,
    "Digest": _unsorted,
}


def _limited(artifacts: Sequence[Any], subscription: Mapping[str, Any]) -> Sequence[Any]:
    return artifacts[: subscription.get("discoveryLimit") or len(artifacts)]


def _chart(raw: Mapping[str, Any], list_tags: ListTags) -> dict[str, Any]:
    chart = raw["chart"]
    url = chart.get("repoURL", "")
    selector = _valid_selector(
        raw, f'error obtaining selector for chart versions from helm chart repo "{url}"'
    )
    try:
        # A tag cannot contain the "+" of build metadata, so Helm writes "_".
        names = [tag.name.replace("_", "+") for tag in list_tags(url.removeprefix("oci://"))]
    except DiscoveryError as error:
        raise DiscoveryError(
            f'error discovering chart versions from helm chart repo "{url}": '
            f'error retrieving versions of chart from repository "{url}": {error}'
        ) from error
    versions = [
        (semver.order(version), name)
        for name in names
        # Discovery ignores versions with a leading "v"; matching a push does not.
        if (version := semver.parse_tag(name, strict=True))
        and not name.startswith("v")
        and selector.evaluate(name).matches
    ]
    options = {key: chart[key] for key in ("name", "semverConstraint") if chart.get(key)}
    return {
        "repoURL": url,
        **options,
        "versions": _limited([name for _, name in sorted(versions, reverse=True)], chart),
    }


def _git(raw: Mapping[str, Any], list_tags: ListTags) -> dict[str, Any]:
    """Return the selected commits, the newest first.

    A repository that nothing was pushed to has one commit, so that Warehouses with Git and images work.
    """
    git = raw["git"]
    url = git.get("repoURL", "")
    selector = _valid_selector(raw, f'error obtaining selector for git repository "{url}"')
    pushed = [decode_commit(tag) for tag in list_tags(normalize_git(url))]
    selected = [commit for commit in pushed if _is_selected(commit, selector)]
    commits = [_commit(commit) for commit in reversed(selected)]
    if not pushed:
        first = {
            "id": hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest(),
            "branch": git.get("branch") or "main",
            "subject": "Initial commit",
            "author": "Demo <demo@example.com>",
            "creatorDate": "2026-01-05T09:00:00Z",
        }
        commits = [first]
    return {"repoURL": url, "commits": _limited(commits, git)}


def _is_selected(commit: PushedCommit, selector: Selector) -> bool:
    if not selector.evaluate(commit.reference).matches:
        return False
    return not isinstance(selector, GitSelector) or bool(selector.evaluate_files(commit.files).matches)


def _commit(commit: PushedCommit) -> dict[str, Any]:
    is_tag = commit.reference.startswith(TAGS)
    name = commit.reference.removeprefix(TAGS).removeprefix(BRANCHES)
    return {
        "id": commit.id,
        "tag" if is_tag else "branch": name,
        "subject": f"Change {commit.files[0]}" if commit.files else "Change",
        "author": "Demo <demo@example.com>",
        "creatorDate": rfc3339(commit.created_at),
    }


_KINDS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any], ListTags], dict[str, Any]]]]] = {
    "image": ("images", _image),
    "chart": ("charts", _chart),
    "git": ("git", _git),
}


_ARTIFACTS: Final = (
    # field, list, reasons of Healthy and Ready, message
    ("git", "commits", ("NoCommitsDiscovered", "MissingCommits"), "No commits discovered for Git repository"),
    (
        "images",
        "references",
        ("NoImageReferencesDiscovered", "MissingImageReferences"),
        "No references discovered for image repository",
    ),
    (
        "charts",
        "versions",
        ("NoChartVersionsDiscovered", "MissingChartVersions"),
        "No versions discovered for chart from repository",
    ),
)


def missing_artifact(artifacts: Mapping[str, Any]) -> tuple[tuple[str, str], str] | None:
    """Return the reasons of Healthy and Ready and the message if a subscription has no artifact, otherwise None."""
    for field, entries, reasons, message in _ARTIFACTS:
        for result in artifacts.get(field, ()):
            if not result.get(entries):
                name = f'"{result["name"]}" ' if result.get("name") else ""
                text = message.replace("chart from", f"chart {name}from")
                return reasons, f'{text} "{result["repoURL"]}"'
    if not any(artifacts.get(field) for field, *_ in _ARTIFACTS):
        return ("MissingArtifacts", "MissingArtifacts"), "No artifacts discovered"
    return None
