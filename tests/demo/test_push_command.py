"""`manage.py push` without a running demo. With one, it is tested in `test_demo_command`."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from demo.registry import Registry


@pytest.fixture(autouse=True)
def demo_directory(settings: Any, tmp_path: Path) -> Path:
    settings.KARGOWEB = replace(settings.KARGOWEB, data_dir=tmp_path)
    return tmp_path / "demo"


@pytest.mark.parametrize("image", ["example/repo", "localhost:5000/x", ":1.0.0", "example/repo:"])
def test_an_image_without_a_tag_is_an_error(image: str) -> None:
    with pytest.raises(CommandError, match="is not a repository with a tag"):
        call_command("push", image)


@pytest.mark.parametrize("options", [{"times": 0}, {"times": 1_001}, {"lag": -1.0}], ids=str)
def test_a_number_out_of_range_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="must"):
        call_command("push", "example/repo:1.0.0", **options)


def test_without_a_demo_the_tag_is_added_and_the_command_fails(demo_directory: Path) -> None:
    output = io.StringIO()
    with pytest.raises(CommandError, match="The demo is not running"):
        call_command("push", "example/repo:9.9.9", stdout=output)
    assert "example/repo:9.9.9 is in the demo's registry" in output.getvalue()
    assert [tag.name for tag in Registry(demo_directory / "registry.sqlite3").tags("example/repo")] == [
        "9.9.9"
    ]
