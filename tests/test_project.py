"""What holds for the whole project: its files agree with each other, and do not tell where they were made."""

from __future__ import annotations

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from packaging.requirements import Requirement

from kargoweb import VERSION

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SETTING = re.compile(r"KARGOWEB_[A-Z_]+|PORT|DATABASE_URL")
# The network names and home directories of whoever wrote something here. Written so that they do not find themselves.
TRACES = re.compile(
    r"(?<![\w.}])/(?:work|root|home)/\w|[p]ypi\.org|pythonhosted\.or[g]|/opt/kubebuilde[r]|\.pyen[v]"
)


def project_files() -> Iterator[Path]:
    """Every file of the project that git would keep."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}
    for directory, directories, names in os.walk(ROOT):
        directories[:] = [name for name in directories if name not in ignored]
        yield from (Path(directory) / name for name in names if not name.endswith(".pyc"))


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.M))


def settings_read() -> set[str]:
    tree = ast.parse((ROOT / "kargoweb" / "configuration.py").read_text())
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and SETTING.fullmatch(value)}


def manage(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=cwd,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "kargoweb.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestLockFiles:
    @pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
    def test_every_package_has_hashes_and_none_an_address(self, lock: str) -> None:
        text = (ROOT / lock).read_text()
        packages = re.split(r"\n(?=\S)", text.strip())
        assert not [package for package in packages if "--hash=sha256:" not in package]
        assert "://" not in text
        assert not re.search(r"--(extra-)?index-url|--find-links", text)

    @pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
    def test_they_hold_what_the_project_asks_for(self, lock: str) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        wanted = list(project["project"]["dependencies"])
        if lock == "requirements-dev.lock":
            wanted += project["dependency-groups"]["dev"]
        locked = pins(lock)
        for requirement in map(Requirement, wanted):
            assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement

    def test_development_adds_to_the_runtime_and_changes_nothing(self) -> None:
        assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


class TestReadme:
    def test_its_table_has_every_setting(self) -> None:
        documented = re.findall(rf"^\| *`({SETTING.pattern})`", README.read_text(), re.M)
        assert sorted(documented) == sorted(settings_read())

    @pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
    def test_its_make_targets_exist(self, document: str) -> None:
        named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", (ROOT / document).read_text(), re.M))
        assert named
        assert named <= set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))

    @pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
    def test_its_commands_exist(self, document: str) -> None:
        named = set(re.findall(r"manage\.py ([a-z_]+)", (ROOT / document).read_text()))
        assert named <= get_commands().keys()


def test_nothing_tells_where_it_was_made() -> None:
    found = []
    as_published = {"payloads", "vectors"}  # of other people's machines they may speak
    for path in (path for path in project_files() if path.parent.name not in as_published):
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in TRACES.finditer(text)]
    assert not found


def test_ci_can_be_run() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


class TestCommandLine:
    def test_a_bad_configuration_ends_it_with_a_line_per_variable(self) -> None:
        done = manage(
            "check", PORT="eighty", KARGOWEB_DEBUG="perhaps", DATABASE_URL="postgresql://me:hunter2@db"
        )
        assert done.returncode == 3
        assert done.stdout == ""
        assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
            ["kargoweb", "configuration error"] for _ in range(3)
        ]
        assert "PORT is 'eighty'; it takes a whole number from 1 to 65535" in done.stderr
        assert "hunter2" not in done.stderr

    def test_what_the_image_holds_is_enough(self, tmp_path: Path) -> None:
        for source, target in re.findall(
            r"^COPY ([a-z]+)/ ([a-z]+)/$", (ROOT / "Dockerfile").read_text(), re.M
        ):
            shutil.copytree(ROOT / source, tmp_path / target)
        shutil.copy(ROOT / "manage.py", tmp_path)
        (tmp_path / "staticfiles").mkdir()
        for command in (["collectstatic", "--noinput"], ["check", "--fail-level", "WARNING"]):
            done = manage(*command, cwd=tmp_path, KARGOWEB_DATA_DIR=str(tmp_path / "data"), DATABASE_URL="")
            assert done.returncode == 0, done.stderr
        assert list((tmp_path / "staticfiles").glob("kargoweb.*.css.gz"))


class TestMake:
    @pytest.mark.parametrize(
        "python", ["no-such-python", "false"], ids=["an interpreter that is not there", "one that is too old"]
    )
    def test_it_says_what_python_it_needs(self, tmp_path: Path, python: str) -> None:
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
        told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert sorted(re.findall(r"^  make ([a-z-]+) +\S", told, re.M)) == sorted(phony)


class TestManifests:
    @staticmethod
    def objects() -> Iterator[tuple[Path, dict[str, Any]]]:
        for path in sorted((ROOT / "deploy").rglob("*.yaml")):
            yield from ((path, one) for one in yaml.safe_load_all(path.read_text()))

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [one for _, one in self.objects() if one["kind"] == kind]

    def test_what_they_refer_to_is_there(self) -> None:
        for path, one in self.objects():
            for name in (
                [*one.get("resources", []), *one.get("components", [])]
                if "kustomize" in one["apiVersion"]
                else []
            ):
                assert (path.parent / name).exists(), f"{path}: {name}"

    def test_their_variables_are_settings(self) -> None:
        text = "".join(path.read_text() for path, _ in self.objects())
        named = set(re.findall(r"\b(?:KARGOWEB_[A-Z_]+|DATABASE_URL)\b", text))
        assert named <= settings_read()

    def test_the_pod_is_restricted(self) -> None:
        (deployment,) = self.of_kind("Deployment")
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        context = pod["containers"][0]["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not context["allowPrivilegeEscalation"]

    def test_only_the_component_reads_secrets_and_nothing_lists_them(self) -> None:
        rules = {role["metadata"]["name"]: role["rules"] for role in self.of_kind("ClusterRole")}
        on_secrets = {
            (name, verb)
            for name, granted in rules.items()
            for rule in granted
            if {"secrets", "*"} & set(rule["resources"])
            for verb in rule["verbs"]
        }
        assert on_secrets == {("kargoweb-manage-receivers", "get")}
