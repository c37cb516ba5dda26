"""Addresses of Kargo's UI, if `KARGOWEB_KARGO_URL` says where it is, and of the providers' pages.

Source: Kargo's `ui/src/config/paths.ts`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

from django.conf import settings

DOCKER_HUB = "https://hub.docker.com"


def project_url(project: str) -> str:
    """Return the address of a project in Kargo's UI; empty if that is unknown, as in all functions below."""
    return _url("project", project)


def warehouse_url(project: str, warehouse: str) -> str:
    """Return the address of a Warehouse in Kargo's UI."""
    return _url("project", project, "warehouse", warehouse)


def freight_url(project: str, freight: str) -> str:
    """Return the address of Freight in Kargo's UI; `freight` is its name, not its alias."""
    return _url("project", project, "freight", freight)


def stage_url(project: str, stage: str) -> str:
    """Return the address of a Stage in Kargo's UI."""
    return _url("project", project, "stage", stage)


def promotion_url(project: str, promotion: str) -> str:
    """Return the address of a Promotion in Kargo's UI."""
    return _url("project", project, "promotion", promotion)


def promote_url(project: str, freight: str, stage: str) -> str:
    """Return the address of the dialog in Kargo's UI that promotes Freight to a Stage."""
    return _url("project", project, "promote", "freight", freight, "stage", stage)


def repository_url(kind: str, repository: str) -> str:
    """Return the address of the page of a repository at its provider; empty if it isn't known to have one.

    A Git repository that is cloned over HTTPS has its page at the same address.
    """
    if kind == "dockerhub":
        return _docker_hub_url(repository)
    return repository.removesuffix(".git") if kind in _COMMITS and _HTTPS.fullmatch(repository) else ""


def pushed_url(kind: str, repository: str, tag: str, commit: str = "") -> str:
    """Return the address of what was pushed at its provider: of a tag on Docker Hub, or of a commit."""
    if kind == "dockerhub":
        return _docker_hub_url(repository, tag)
    page = repository_url(kind, repository)
    return f"{page}/{_COMMITS[kind]}/{quote(commit, safe='')}" if page and commit else page


_HTTPS: Final = re.compile(r"https://[\w.-]+(?::\d+)?(?:/[\w.~-]+)+", re.ASCII)
"""Without a user and a query: a link leads where its text says."""

_COMMITS: Final = {"github": "commit", "gitlab": "-/commit", "gitea": "commit", "bitbucket": "commits"}
"""Where the pages of a repository have its commits, by receiver kind."""


def _docker_hub_url(repository: str, tag: str = "") -> str:
    """Return the address of a tag on Docker Hub, or of all tags without one. Official images have other pages."""
    namespace, _, name = repository.partition("/")
    page = f"_/{quote(name, safe='')}" if namespace == "library" and name else f"r/{quote(repository)}"
    query = f"?{urlencode({'name': tag})}" if tag else ""
    return f"{DOCKER_HUB}/{page}/tags{query}"


def _url(*parts: str) -> str:
    base = settings.KARGOWEB.kargo_url
    # An empty part would lead to another page.
    return "/".join([base, *(quote(part, safe="") for part in parts)]) if base and all(parts) else ""
