"""Fixtures for the demo's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters import DemoCluster
from tests.demo.kargo import Kargo


@pytest.fixture(scope="session")
def kargo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kargo]:
    """A simulated Kargo installation for these tests only, because they stop its parts."""
    directory = tmp_path_factory.mktemp("kargo")
    with DemoCluster(directory) as api_server:
        installation = Kargo(api_server, directory / "registry.sqlite3")
        yield installation
        installation.close()
