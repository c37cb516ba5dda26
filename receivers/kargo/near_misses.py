"""Explains why a subscription with a similar repository does not match a push, and what to use instead."""

from __future__ import annotations

import re
from typing import Final

from receivers.kargo.quoting import quoted
from receivers.kargo.repository_names import is_docker_hub, normalize_chart, split_host

_WEB_SCHEME: Final = re.compile(r"(?i)https?://")


def explain_near_miss(pushed: str, kind: str, repo_url: str) -> str:
    """Return a sentence about a subscription of `kind` whose `repo_url` is similar to the repository `pushed`."""
    wanted = normalize_chart(pushed)
    instead = f"oci://registry-1.docker.io/{wanted}" if kind == "chart" else wanted
    text = repo_url.strip().lower()
    host, _ = split_host(text.rpartition("://")[2])
    if wanted.startswith("_/"):
        return (
            f"Docker Hub reports the repository as {quoted(pushed)}, "
            f"which Kargo does not treat as {quoted(repo_url)}"
        )
    if host and not is_docker_hub(host):
        return f"{quoted(repo_url)} is hosted on {host}; this push went to {quoted(wanted)} on Docker Hub"
    if _WEB_SCHEME.match(text) or host in {"hub.docker.com", "registry.hub.docker.com"}:
        return f"{quoted(repo_url)} is a web page; use {quoted(instead)} instead"
    return f"Kargo does not treat {quoted(repo_url)} as {quoted(wanted)}; use {quoted(instead)} instead"
