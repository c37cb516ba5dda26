"""Commits in the demo's registry, which knows only tags: the tag is the id, and the media type has everything else."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from demo.registry import Registry, Tag
from receivers.kargo.repository_names import normalize_git


@dataclass(frozen=True, slots=True)
class PushedCommit:
    """A commit. `reference` is the full name of the branch or tag that it was pushed to."""

    id: str
    reference: str
    files: tuple[str, ...]
    created_at: float


def push_commit(
    registry: Registry, url: str, reference: str, files: Sequence[str], *, lag: float = 0.0
) -> str:
    """Push a commit to a repository, which lists it after `lag` seconds. Return its id."""
    commit = hashlib.sha1(secrets.token_bytes(20), usedforsecurity=False).hexdigest()
    registry.put(normalize_git(url), commit, media_type=json.dumps([reference, *files]), lag=lag)
    return commit


def decode_commit(tag: Tag) -> PushedCommit:
    """Return the commit that the registry has under a tag."""
    reference, *files = json.loads(tag.media_type)
    return PushedCommit(tag.name, reference, tuple(files), tag.created_at)
