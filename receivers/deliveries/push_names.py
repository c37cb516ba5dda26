"""How pushes are named on pages: `example/repo:1.2.3`, or `github.com/acme/shop:main` for a branch of Git."""

from __future__ import annotations

from typing import Final

from receivers.kargo.kinds import kind_title
from receivers.kargo.media_types import MediaClass, classify
from receivers.kargo.quoting import upper_first
from receivers.kargo.selectors import BRANCHES, TAGS
from receivers.models import Delivery

COMMIT_SHOWN: Final = 7  # digits of the id of a commit, as many as Git shows


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


def request_name(row: Delivery) -> tuple[str, str]:
    """Return repository and tag as they are shown, or the name of a request that names no repository."""
    if not row.repository:
        return (f"{kind_title(row.kind)} request" if row.kind else "Request"), ""
    return shown_repository(row.repository, row.tag), shown_tag(row.tag)


def short_commit(row: Delivery) -> str:
    """Return the id of the newest commit of a push as Git shows it; empty for an artifact."""
    return str(row.details.get("commit", ""))[:COMMIT_SHOWN]


def changed_files(row: Delivery) -> int:
    """Return how many files a push of commits changed, with those that are not stored."""
    return len(row.details.get("files", ())) + int(row.details.get("files_left_out", 0))


def what_was_pushed(row: Delivery) -> str:
    """Return what was pushed unless it is an image: `commit 1a2b3c4`, `branch`, `Git tag` or `chart`."""
    if row.tag.startswith(TAGS):
        return "Git tag"
    if _is_reference(row.tag) or row.details.get("git"):
        commit = short_commit(row)
        return f"commit {commit}" if commit else "branch"
    return "chart" if classify(row.media_type) is MediaClass.CHART else ""


def reference_word(row: Delivery) -> str:
    """Return what the tag of a push is called: `Branch`, `Git tag`, `Chart version` or `Tag`."""
    if row.tag.startswith(BRANCHES):
        return "Branch"
    return {"Git tag": "Git tag", "chart": "Chart version"}.get(what_was_pushed(row), "Tag")


def name_in_sentence(row: Delivery, *, starts: bool = False) -> str:
    """Return what was pushed as a noun: `1.2.3`, `chart 1.2.3`, `commit 1a2b3c4 on main`, `Git tag v1.2.3`.

    With `starts` it begins a sentence.
    """
    what, name = what_was_pushed(row), shown_tag(row.tag) or shown_repository(row.repository, row.tag)
    if not what:
        return name
    if starts:
        what = upper_first(what)
    on = "on " if row.tag and short_commit(row) and not row.tag.startswith(TAGS) else ""
    return f"{what} {on}{name}"


def _is_reference(tag: str) -> bool:
    return tag.startswith("refs/")
