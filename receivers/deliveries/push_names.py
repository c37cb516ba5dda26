"""How pushes are named on pages: `example/repo:1.2.3`, or `github.com/acme/shop:main` for a branch of Git.

What is left out of a name is known, so that a name that was copied from a page leads back to its pushes.
"""

from __future__ import annotations

from typing import Final

from receivers.kargo.kinds import kind_title
from receivers.kargo.media_types import MediaClass, classify
from receivers.kargo.quoting import upper_first
from receivers.kargo.repository_names import split_host
from receivers.kargo.selectors import BRANCHES, TAGS
from receivers.models import Delivery

COMMIT_SHOWN: Final = 7  # digits of the id of a commit, as many as Git shows


_GIT_SUFFIX: Final = ".git"
_BEFORE_HOST: Final = ("https://", "http://", "ssh://git@", "ssh://", "git@")
"""What the URL of a repository has before its host. Azure DevOps also names the organization as the user."""


def shown_repository(repository: str, tag: str) -> str:
    """Return the repository of a push. That of a push to Git is shown without scheme, user and `.git`."""
    if not _is_reference(tag):
        return repository
    shown = repository.rpartition("://")[2].rpartition("@")[2].removesuffix(_GIT_SUFFIX)
    return shown if repository in repository_spellings(shown) else repository


def shown_tag(tag: str) -> str:
    """Return the tag, or the name of the branch or the Git tag."""
    return tag.removeprefix(BRANCHES).removeprefix(TAGS) if _is_reference(tag) else tag


def repository_spellings(text: str) -> tuple[str, ...]:
    """Return the repositories that `shown_repository` may show as `text`, beginning with `text` itself.

    The URL of a repository is spelled with and without `.git`.
    """
    host, path = split_host(text)
    is_url = "://" in text or "@" in text
    if not (host or is_url):
        return (text,)
    before = ("",) if is_url else ("", *_BEFORE_HOST, f"https://{path.partition('/')[0]}@")
    stem = text.removesuffix(_GIT_SUFFIX)
    names = (f"{prefix}{stem}{suffix}" for suffix in ("", _GIT_SUFFIX) for prefix in before)
    return tuple(dict.fromkeys((text, *names)))


def tag_spellings(text: str) -> tuple[str, ...]:
    """Return the tags that `shown_tag` may show as `text`, beginning with `text` itself."""
    return (text,) if _is_reference(text) else (text, BRANCHES + text, TAGS + text)


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
