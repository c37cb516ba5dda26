"""The digest, the path and the URL of a receiver, as Kargo computes them.

Source: `buildWebhookPath` and `getDetails` in Kargo's `pkg/webhook/external/receiver.go`. These URLs are registered in
Docker Hub: a change here breaks them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from receivers.kargo.golang import gourl

SUFFIX_LENGTH: Final = 6
"""Characters of a digest that may be shown: enough to tell two URLs apart, far too few to guess one."""


def digest(project: str, receiver: str, *secrets: bytes) -> str:
    """Return the 64 hex characters at the end of a receiver URL. `project` is empty for a cluster receiver.

    The parts are joined without separators; the bytes of the secrets are used unchanged, trailing newlines included.
    """
    return sha256(b"".join((project.encode(), receiver.encode(), *secrets))).hexdigest()


def digest_suffix(digest: str) -> str:
    """Return the end of a digest, the only part of it that may be shown or stored."""
    return digest[-SUFFIX_LENGTH:]


def digest_hash(digest: str) -> bytes:
    """Return the SHA-256 of a digest (32 bytes), which is stored in its place.

    It doesn't reveal the URL, and the time of a lookup by hash says nothing about the digests that exist.
    """
    return sha256(digest.encode()).digest()


def receiver_path(base_path: str, kind: str, project: str, receiver: str, *secrets: bytes) -> str:
    """Return `<base_path>/<kind>/<digest>`, percent-encoded as Kargo writes it into the status.

    Raise ValueError where Kargo fails: if `base_path` is not a URL path, such as `%zz`.
    """
    return _path(gourl.parse(base_path or "/"), kind, project, receiver, *secrets)


def receiver_url(base_url: str, kind: str, project: str, receiver: str, *secrets: bytes) -> str:
    """Return the full URL of a receiver below `base_url`. Raise ValueError where Kargo fails."""
    base = gourl.parse(base_url)
    return str(base.with_path(_path(gourl.parse_bytes(base.path or "/"), kind, project, receiver, *secrets)))


def base_path(base_url: str) -> str:
    """Return the `base_path` of a base URL: its decoded path. Raise ValueError if it is not a URL."""
    return gourl.parse(base_url).path.encode("latin-1").decode("utf-8", "replace")


def _path(base: gourl.Url, kind: str, project: str, receiver: str, *secrets: bytes) -> str:
    return str(base.joined(kind, digest(project, receiver, *secrets)))
