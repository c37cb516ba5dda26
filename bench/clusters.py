"""The API server of the benchmarks: that of the demo, or a real one."""

from __future__ import annotations

import os
from pathlib import Path

from tests.clusters import DemoCluster
from tests.real_cluster import LocalCluster

ASSETS = os.environ.get("KUBEBUILDER_ASSETS")


def new_cluster(directory: Path) -> DemoCluster | LocalCluster:
    """Return an API server that serves TLS: kube-apiserver if `ASSETS` has one. It is not started yet."""
    if not ASSETS:
        return DemoCluster(directory, tls=True)
    directory.mkdir()
    return LocalCluster(Path(ASSETS), directory)
