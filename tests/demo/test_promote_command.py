"""`manage.py promote`, against the demo's Kargo."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from demo.paths import DemoPaths
from tests.clusters import until
from tests.demo.kargo import Kargo
from tests.demo.test_promotions import Line


@pytest.fixture
def line(kargo: Kargo, settings: Any, tmp_path) -> Line:
    """Return a project with test and prod, and Freight 1 and 2 that are available to test."""
    settings.KARGOWEB = replace(settings.KARGOWEB, data_dir=tmp_path)
    paths = DemoPaths(tmp_path / "demo")
    paths.directory.mkdir()
    paths.kubeconfig.write_text(kargo.api_server.kubeconfig.read_text())
    line = Line(kargo)
    line.stage("test")
    line.stage("prod", "test")
    line.freight("1")
    line.freight("2")
    return line


def promote(*arguments: str) -> str:
    output = io.StringIO()
    call_command("promote", *arguments, stdout=output)
    return output.getvalue()


def test_the_newest_available_freight_is_promoted(line):
    assert "alias-2 (2) to test" in promote(line.project, "test")
    until("it is there", lambda: line.holds("test") == "2")


@pytest.mark.parametrize("freight", ["alias-1", "1"])
def test_freight_by_alias_or_tag(line, freight):
    assert "alias-1" in promote(line.project, "test", freight)


def test_what_does_not_exist_is_an_error(line):
    with pytest.raises(CommandError, match="has no Stage nope"):
        promote(line.project, "nope")
    with pytest.raises(CommandError, match="has no Freight 9"):
        promote(line.project, "test", "9")
    with pytest.raises(CommandError, match="no available Freight for Stage prod"):
        promote(line.project, "prod")


def test_what_kargo_refuses_is_an_error(line):
    with pytest.raises(CommandError, match="not available"):
        promote(line.project, "prod", "1")


def test_without_a_demo_it_fails(settings, tmp_path):
    settings.KARGOWEB = replace(settings.KARGOWEB, data_dir=tmp_path)
    with pytest.raises(CommandError, match="The demo is not running"):
        promote("kargo-demo", "prod")
