"""How pushes are named on pages: `example/repo:1.2.3`, or `github.com/acme/shop:main` for a branch of Git."""

from __future__ import annotations

from receivers.kargo.selectors import BRANCHES, TAGS


def shown_repository(repository: str, tag: str) -> str:
    """Return the repository of a push. That of a push to Git is shown without scheme, user and `.git`."""
    if not _is_reference(tag):
        return repository
    return repository.rpartition("://")[2].rpartition("@")[2].removesuffix(".git")


def shown_tag(tag: str) -> str:
    """Return the tag, or the name of the branch or the Git tag."""
    return tag.removeprefix(BRANCHES).removeprefix(TAGS) if _is_reference(tag) else tag


def push_name(repository: str, tag: str) -> str:
    """Return the name of a push in one text."""
    shown = shown_repository(repository, tag)
    return f"{shown}:{shown_tag(tag)}" if tag else shown


def _is_reference(tag: str) -> bool:
    return tag.startswith("refs/")
