"""The simulated registry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from demo.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry.sqlite3")


def test_tags_are_listed_in_push_order(registry: Registry) -> None:
    for tag in ("2.0.0", "1.0.0", "latest"):
        registry.put("example/repo", tag)
    assert [tag.name for tag in registry.tags("example/repo")] == ["2.0.0", "1.0.0", "latest"]


def test_an_unknown_repository_has_no_tags(registry: Registry) -> None:
    assert registry.tags("example/repo") == ()


@pytest.mark.parametrize("name", ["docker.io/library/nginx", "nginx", "index.docker.io/library/nginx"])
def test_a_repository_is_found_under_all_its_names(registry: Registry, name: str) -> None:
    registry.put("library/nginx", "1.27.0")
    assert [tag.name for tag in registry.tags(name)] == ["1.27.0"]


def test_a_tag_pushed_again_has_a_new_digest(registry: Registry) -> None:
    first = registry.put("example/repo", "latest")
    second = registry.put("example/repo", "latest")
    assert first.digest != second.digest
    assert registry.tags("example/repo") == (second,)


def test_the_same_content_pushed_again_keeps_its_digest(registry: Registry) -> None:
    first = registry.put("example/repo", "latest")
    assert registry.put("example/repo", "latest", same_content=True) == first


def test_a_lagging_tag_is_not_listed_yet(registry: Registry) -> None:
    registry.put("example/repo", "1.0.0", lag=3600)
    assert registry.tags("example/repo") == ()


def test_the_previous_push_is_listed_until_the_new_one_is(registry: Registry) -> None:
    old = registry.put("example/repo", "latest")
    registry.put("example/repo", "latest", lag=3600)
    assert registry.tags("example/repo") == (old,)


def test_a_lagging_reader_does_not_see_new_tags(registry: Registry) -> None:
    registry.put("example/repo", "1.0.0")
    assert registry.tags("example/repo", lag=3600) == ()


def test_tags_pushed_by_another_process_are_listed(registry: Registry, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from demo.registry import Registry;"
        "Registry(pathlib.Path(sys.argv[1])).put('example/repo', '1.0.0')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "registry.sqlite3")], check=True)
    assert [tag.name for tag in registry.tags("example/repo")] == ["1.0.0"]
    assert Registry(tmp_path / "registry.sqlite3").repositories() == {"example/repo"}
