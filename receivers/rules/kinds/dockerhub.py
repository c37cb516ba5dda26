"""Docker Hub's webhook: from its body to a push, and from a push to the body that Docker Hub would send."""

from __future__ import annotations

from receivers.rules.push import Push


def parse(body: bytes) -> Push:
    """Read the body of a Docker Hub webhook; raise `InvalidBody` when Kargo would answer 400."""
    raise NotImplementedError


def compose(repository: str, tag: str, *, media_type: str, pusher: str, pushed_at: int) -> bytes:
    """Write the body that Docker Hub sends for a push since the end of 2022. `pushed_at` is in Unix seconds."""
    raise NotImplementedError
