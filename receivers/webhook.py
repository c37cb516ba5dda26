"""The HTTP edge of a push."""

from __future__ import annotations

import re

MACHINE_PATH = re.compile(r"^/(healthz|readyz)$|/[a-z0-9]+/[0-9a-f]{64}/?$")


def is_machine_path(path: str) -> bool:
    """Say whether `path` belongs to machines: a probe or, under any prefix, a receiver URL."""
    return MACHINE_PATH.search(path) is not None
