"""Explains why a subscription with a similar repository does not match a push, and what to use instead.

It only recommends a `repoURL` with which the subscription would match the push.
"""

from __future__ import annotations

from typing import Final

from receivers.kargo.quoting import quoted
from receivers.kargo.repository_names import (
    OCI_NAME,
    is_docker_hub,
    near_key,
    normalize_image,
    parse_reference,
    split_host,
)

_WEBSITE: Final = "hub.docker.com"
_OLD_REGISTRY: Final = "registry.hub.docker.com"


def explain_near_miss(pushed: str, kind: str, repo_url: str) -> str:
    """Return a sentence about a subscription of `kind` whose `repo_url` is similar to the repository `pushed`."""
    if kind == "git":
        return _git_near_miss(pushed, repo_url)
    repository = _repository(pushed)
    if not repository:
        return (
            f"the sender names the repository {quoted(pushed)}, which no valid repoURL matches; it must send "
            f"{quoted(near_key(pushed))}"
        )
    pushed_host, _ = split_host(repository)
    host, _ = split_host(repo_url.strip().lower().rpartition("://")[2])
    if pushed_host != host and (pushed_host or not is_docker_hub(host)):
        where = f"{quoted(repo_url)} is hosted on {host or 'Docker Hub'}"
        return f"{where}; this push went to {quoted(repository)}" + ("" if pushed_host else " on Docker Hub")
    return f"{why_never_matched(kind, repo_url)}; use {quoted(_repo_url(kind, repository))} instead"


def _git_near_miss(pushed: str, repo_url: str) -> str:
    """Return a sentence about the URL of a Git subscription that has the path of the pushed repository."""
    return (
        f"{quoted(repo_url)} and {quoted(pushed)}, which the provider sends, may be the same repository, but Kargo "
        "compares scheme, user, host and port, too; use the URL that the provider sends as repoURL"
    )


def why_never_matched(kind: str, repo_url: str) -> str:
    """Return why no push to Docker Hub matches a `repo_url` for which `coverage.is_never_matched`."""
    scheme, separator, rest = repo_url.strip().lower().rpartition("://")
    host, _ = split_host(rest)
    if host == _WEBSITE:
        return f"{quoted(repo_url)} is a page of Docker Hub's website, not the name of a repository"
    if host == _OLD_REGISTRY:
        return f"images can be pulled from {quoted(repo_url)}, but pushes never match this address"
    if separator and (kind == "image" or scheme != "oci"):
        return f"{quoted(repo_url)} is a URL, not the name of a repository"
    return f"pushes never match {quoted(repo_url)}"


def suggested_repo_url(kind: str, name: str) -> str:
    """Return the `repoURL` for a repository on Docker Hub named `name`; empty if Docker Hub can't have it."""
    repository = _repository(name)
    return _repo_url(kind, repository) if repository and not split_host(repository)[0] else ""


def _repository(name: str) -> str:
    """Return the normalized name of a repository; empty if no registry can have it."""
    repository = normalize_image(name)
    is_valid = parse_reference(repository) is not None and OCI_NAME.fullmatch(split_host(repository)[1])
    return repository if is_valid else ""


def _repo_url(kind: str, repository: str) -> str:
    if kind != "chart":
        return repository
    return f"oci://{repository if split_host(repository)[0] else f'registry-1.docker.io/{repository}'}"
