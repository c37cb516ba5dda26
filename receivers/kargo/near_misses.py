"""Why a subscription that looks like the pushed repository is not it, and what to write instead."""

from __future__ import annotations

import re
from typing import Final

from receivers.kargo.quoting import quoted
from receivers.kargo.repository_names import is_docker_hub, normalize_chart, split_host

_WEB_SCHEME: Final = re.compile(r"(?i)https?://")


def explain(pushed: str, kind: str, repo_url: str) -> str:
    """Return a sentence about a subscription of `kind` whose `repo_url` is near to the repository `pushed`."""
    wanted = normalize_chart(pushed)
    instead = f"oci://registry-1.docker.io/{wanted}" if kind == "chart" else wanted
    text = repo_url.strip().lower()
    host, _ = split_host(text.rpartition("://")[2])
    if wanted.startswith("_/"):
        return f"Docker Hub calls the repository {quoted(pushed)}, which Kargo does not take for {quoted(repo_url)}"
    if host and not is_docker_hub(host):
        return f"{quoted(repo_url)} is on {host}; this push to {quoted(wanted)} was on Docker Hub"
    if _WEB_SCHEME.match(text) or host in {"hub.docker.com", "registry.hub.docker.com"}:
        return f"{quoted(repo_url)} is an address for browsers; write {quoted(instead)} instead"
    return f"Kargo does not take {quoted(repo_url)} for {quoted(wanted)}; write {quoted(instead)} instead"
