"""A push, independent of the kind of sender."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from receivers.kargo.repository_names import git_near_key, names_of_push, near_key, normalize_git


@dataclass(frozen=True, slots=True)
class Push:
    """A pushed artifact, or commits that were pushed to a branch or a tag of a Git repository.

    `repository` is the name exactly as sent: it can be empty or any text. `tag` is the tag of an artifact, or the full
    name of a Git reference (`refs/heads/main`); it is empty if the sender names none. `other_tags` are the further
    ones of the same request. `media_type` is empty if it is unknown. `pusher` is only shown and may be empty.
    `pushed_at` is in UTC, or None.

    `normalized` are the names for the subscriptions to look for, if they don't follow from `repository` and
    `media_type`, as for Git. `files` are the changed files, empty if unknown. `commit` is the id of the newest commit,
    and `is_git` says whether commits were pushed at all.
    """

    repository: str
    tag: str
    media_type: str = ""
    pusher: str = ""
    pushed_at: datetime | None = None
    other_tags: tuple[str, ...] = ()
    normalized: tuple[str, ...] | None = None
    files: tuple[str, ...] = ()
    commit: str = ""
    is_git: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the normalized names that subscriptions to this repository are indexed by, sorted, none empty."""
        names = self.normalized
        if names is None:
            names = names_of_push(self.repository, self.media_type)
        return tuple(sorted({name for name in names if name}))

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags or references, each once, none empty. Without any, every subscription matches."""
        return tuple(dict.fromkeys(tag for tag in (self.tag, *self.other_tags) if tag))

    @property
    def near_key(self) -> str:
        """Return the name that near misses are indexed by; empty for an empty repository."""
        return git_near_key(self.repository) if self.is_git else near_key(self.repository)


def git_push(
    url: str, reference: str, files: tuple[str, ...] = (), pusher: str = "", commit: str = ""
) -> Push:
    """Return a push of commits to a Git repository; `reference` is the full name of the branch or tag."""
    names = (normalize_git(url),)
    return Push(url, reference, pusher=pusher, normalized=names, files=files, commit=commit, is_git=True)
