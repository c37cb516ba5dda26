"""Write kubeconfigs, with which kubectl and kargoweb connect to the demo's API server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml


def kubeconfig(url: str, *, token: str = "", ca_file: str = "", namespace: str = "default") -> dict[str, Any]:
    """Return a kubeconfig with one context.

    kubectl sends the token only over TLS, not to an `http` URL.
    """
    cluster = {"server": url} | ({"certificate-authority": ca_file} if ca_file else {})
    context = {"cluster": "demo", "user": "demo", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "demo", "cluster": cluster}],
        "users": [{"name": "demo", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "demo", "context": context}],
        "current-context": "demo",
    }


def write_kubeconfig(path: Path, url: str, *, token: str = "", ca_file: str = "") -> None:
    """Write a kubeconfig that only its owner can read, and replace an existing file atomically."""
    temporary = path.with_name(path.name + ".new")
    with open(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        yaml.safe_dump(kubeconfig(url, token=token, ca_file=ca_file), file, sort_keys=False)
    temporary.replace(path)
