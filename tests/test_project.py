"""Checks of the whole project: its files are consistent and reveal nothing about developer machines."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kargoweb import VERSION
from tests.commands.running import run_process

ROOT = Path(__file__).resolve().parent.parent
# Home directories and hosts of developers. The patterns are written so that they do not match themselves.
TRACES = re.compile(
    r"(?<![\w.}])/(?:work|root|home)/\w|[p]ypi\.org|pythonhosted\.or[g]|/opt/kubebuilde[r]|\.pyen[v]"
)


def project_files() -> Iterator[Path]:
    """Yield every file of the project that git does not ignore."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}
    for directory, directories, names in os.walk(ROOT):
        directories[:] = [name for name in directories if name not in ignored]
        yield from (Path(directory) / name for name in names if not name.endswith(".pyc"))


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.M))


class TestLockFiles:
    @pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
    def test_every_package_has_hashes_and_no_address(self, lock: str) -> None:
        text = (ROOT / lock).read_text()
        packages = re.split(r"\n(?=\S)", text.strip())
        assert not [package for package in packages if "--hash=sha256:" not in package]
        assert "://" not in text
        assert not re.search(r"--(extra-)?index-url|--find-links", text)

    @pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
    def test_a_lock_file_contains_the_dependencies_of_the_project(self, lock: str) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        required = list(project["project"]["dependencies"])
        if lock == "requirements-dev.lock":
            required += project["dependency-groups"]["dev"]
        locked = pins(lock)
        for requirement in map(Requirement, required):
            assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement

    def test_the_development_lock_file_only_adds_packages(self) -> None:
        assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_no_file_reveals_a_developer_machine() -> None:
    traces = []
    third_party = {"payloads", "vectors"}  # they may name other machines
    for path in (path for path in project_files() if path.parent.name not in third_party):
        text = path.read_bytes().decode(errors="replace")
        traces += [f"{path.relative_to(ROOT)}: {match[0]}" for match in TRACES.finditer(text)]
    assert not traces


def test_the_ci_script_is_executable() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


class TestCommandLine:
    def test_an_invalid_configuration_is_an_error_of_one_line_per_variable(self) -> None:
        done = run_process(
            "manage.py",
            "check",
            PORT="eighty",
            KARGOWEB_METRICS="perhaps",
            DATABASE_URL="postgresql://me:hunter2@db",
        )
        assert done.code == 3
        assert done.out == ""
        assert [line.split(": ")[:2] for line in done.err.splitlines()] == [
            ["kargoweb", "configuration error"] for _ in range(3)
        ]
        assert "PORT is 'eighty'; it must be an integer from 1 to 65535" in done.err
        assert "hunter2" not in done.err

    @pytest.mark.e2e
    def test_the_files_in_the_image_are_sufficient_for_commands(self, tmp_path: Path) -> None:
        for source, target in re.findall(
            r"^COPY ([a-z]+)/ ([a-z]+)/$", (ROOT / "Dockerfile").read_text(), re.M
        ):
            shutil.copytree(ROOT / source, tmp_path / target)
        shutil.copy(ROOT / "manage.py", tmp_path)
        (tmp_path / "staticfiles").mkdir()
        for command in (["collectstatic", "--noinput"], ["check", "--fail-level", "WARNING"]):
            done = run_process(
                "manage.py", *command, cwd=tmp_path, KARGOWEB_DATA_DIR=str(tmp_path / "data"), DATABASE_URL=""
            )
            assert done.code == 0, done.err
        assert list((tmp_path / "staticfiles").glob("css/base.*.css.gz"))


class TestMake:
    @pytest.mark.parametrize(
        "python", ["no-such-python", "false"], ids=["a missing interpreter", "an interpreter that is too old"]
    )
    def test_the_error_says_which_python_is_required(self, tmp_path: Path, python: str) -> None:
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, tmp_path)
        done = subprocess.run(
            ["make", f"PYTHON={python}", "run"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert f"kargoweb needs Python 3.11 or newer, and {python} is not" in done.stderr

    def test_help_explains_every_target(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)[0].split()
        output = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert sorted(re.findall(r"^  make ([a-z0-9-]+) +\S", output, re.M)) == sorted(phony)
