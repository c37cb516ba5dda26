"""Where a receiver listens: the digest, the path and the URL that Kargo computes.

Source: `buildWebhookPath` and `getDetails` in Kargo's `pkg/webhook/external/receiver.go`. Users have these URLs in
Docker Hub: a change here breaks theirs.
"""

from __future__ import annotations

from hashlib import sha256


def digest(project: str, receiver: str, *secrets: bytes) -> str:
    """Return the 64 hex characters at the end of a receiver URL. `project` is empty for a cluster receiver.

    The parts are joined without separators and the secrets' bytes are taken as they are, a final newline included.
    """
    return sha256(b"".join((project.encode(), receiver.encode(), *secrets))).hexdigest()


def receiver_path(base_path: str, kind: str, project: str, receiver: str, *secrets: bytes) -> str:
    """Return the path of a receiver below `base_path`. Raises ValueError where Kargo does."""
    raise NotImplementedError


def receiver_url(base_url: str, kind: str, project: str, receiver: str, *secrets: bytes) -> str:
    """Return the full URL of a receiver below `base_url`. Raises ValueError where Kargo does."""
    raise NotImplementedError
