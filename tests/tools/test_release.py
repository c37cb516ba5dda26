"""The workflows, and the steps of a release that need no registry."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from kargoweb import VERSION
from tests.charts import helm
from tests.components import require
from tools import release

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
DIGEST = "sha256:" + "a" * 64
PINNED = re.compile(r"uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
EXPRESSION = re.compile(r"\$\{\{.*?\}\}")

each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)


def jobs(workflow: Path) -> dict[str, Any]:
    content: dict[str, dict[str, Any]] = yaml.safe_load(workflow.read_text())
    return content["jobs"]


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(workflow).values() for step in job.get("steps", [])]


def scripts(workflow: Path) -> list[str]:
    return [step["run"] for step in steps(workflow) if "run" in step]


def repository(
    directory: Path, *, project: str = "1.2.3", chart: str = "1.2.3", changelog: str = "1.2.3"
) -> Path:
    """Return a directory with what `release.check` reads."""
    (directory / "deploy" / "chart").mkdir(parents=True)
    (directory / "pyproject.toml").write_text(f'[project]\nversion = "{project}"\n')
    (directory / "deploy" / "chart" / "Chart.yaml").write_text(f"version: {chart}\nappVersion: {chart}\n")
    (directory / "CHANGELOG.md").write_text(f"# Changelog\n\n## {changelog} (2026-12-01)\n\n* New.\n")
    return directory


class TestWorkflows:
    def test_there_is_one_for_changes_and_one_for_releases(self):
        assert [path.stem for path in WORKFLOWS] == ["ci", "release"]

    def test_actionlint_finds_no_fault(self):
        done = subprocess.run(
            [require("actionlint"), *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout

    @each_workflow
    def test_actions_are_pinned_by_commit(self, workflow: Path):
        used = re.findall(r"uses: .*", workflow.read_text())
        assert used
        assert [line for line in used if "uses: ./" not in line and not PINNED.fullmatch(line)] == []

    @each_workflow
    def test_permissions_are_those_that_a_job_needs(self, workflow: Path):
        content = yaml.safe_load(workflow.read_text())
        assert content["permissions"] == {"contents": "read"}
        for name, job in content["jobs"].items():
            writes = {scope for scope, access in job.get("permissions", {}).items() if access == "write"}
            expected = {
                "image": {"packages", "id-token"},
                "chart": {"packages", "id-token"},
                "notes": {"contents"},
            }
            assert writes == expected.get(name, set()), name

    @each_workflow
    def test_scripts_are_valid_and_contain_no_expressions(self, workflow: Path):
        # An expression would be replaced before the shell reads the script, whatever it contains.
        for script in scripts(workflow):
            assert not EXPRESSION.search(script)
            done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

    @each_workflow
    def test_what_they_run_exists(self, workflow: Path):
        targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
        for job in jobs(workflow).values():
            if "uses" in job:
                assert (ROOT / job["uses"]).exists()
        for script in scripts(workflow):
            for path in re.findall(r"(?:^|\s)(\.ci/\w+|tools/[\w.]+)", script):
                assert (ROOT / path).exists(), path
            assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= targets
            for module, command in re.findall(r"-m (tools\.\w+) (\w+)", script):
                assert (ROOT / f"{module.replace('.', '/')}.py").exists()
                done = subprocess.run(
                    ["python3", "-m", module, command, "--help"], cwd=ROOT, capture_output=True, check=False
                )
                assert done.returncode == 0, done.stderr

    def test_the_image_is_built_for_two_architectures_with_sbom_and_provenance(self):
        [build] = [
            step
            for step in steps(ROOT / ".github" / "workflows" / "release.yaml")
            if step.get("id") == "build"
        ]
        assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
        assert build["with"]["sbom"] is True
        assert build["with"]["provenance"] == "mode=max"
        assert (ROOT / build["with"]["context"] / "Dockerfile").exists()

    def test_nothing_is_published_before_all_checks_have_passed(self):
        release_jobs = jobs(ROOT / ".github" / "workflows" / "release.yaml")
        for name, job in release_jobs.items():
            before, waiting = set(), [name]
            while waiting:
                needs = release_jobs[waiting.pop()].get("needs", [])
                needs = [needs] if isinstance(needs, str) else needs
                before |= set(needs)
                waiting += needs
            assert "steps" not in job or "check" in before, name


class TestCheck:
    def test_a_tag_with_the_version_of_everything_is_accepted(self, tmp_path: Path):
        assert release.check("v1.2.3", root=repository(tmp_path)) == "1.2.3"

    @pytest.mark.parametrize(
        ("versions", "sentence"),
        [
            ({"project": "1.2.2"}, "pyproject.toml has 1.2.2 for the tag v1.2.3"),
            ({"chart": "1.2.2"}, "deploy/chart/Chart.yaml has 1.2.2, 1.2.2 for the tag v1.2.3"),
            ({"changelog": "Unreleased"}, "CHANGELOG.md has no section for 1.2.3"),
            ({"changelog": "1.2.30"}, "CHANGELOG.md has no section for 1.2.3"),
        ],
    )
    def test_another_version_anywhere_is_refused(
        self, tmp_path: Path, versions: dict[str, str], sentence: str
    ):
        with pytest.raises(release.ReleaseError, match=f"^{re.escape(sentence)}$"):
            release.check("v1.2.3", root=repository(tmp_path, **versions))

    def test_the_versions_of_the_repository_are_equal(self):
        assert release.versions(ROOT)["deploy/chart/Chart.yaml"] == [VERSION, VERSION]
        assert release.versions(ROOT)["pyproject.toml"] == [VERSION]


class TestNotes:
    CHANGELOG = (
        "# Changelog\n\n## Unreleased\n\n* Later.\n\n"
        "## 1.2.3 (2026-12-01)\n\n### Added\n\n* This.\n\n## 1.2.2\n\n* That.\n"
    )

    @pytest.fixture
    def changelog(self, tmp_path: Path) -> Path:
        path = tmp_path / "CHANGELOG.md"
        path.write_text(self.CHANGELOG)
        return path

    def test_they_are_the_section_of_the_version(self, changelog: Path):
        assert release.notes("v1.2.3", changelog=changelog) == "### Added\n\n* This.\n"
        assert release.notes("v1.2.2", changelog=changelog) == "* That.\n"

    def test_they_name_the_image(self, changelog: Path):
        image = f"registry.example.com/kargoweb@{DIGEST}"
        assert release.notes("v1.2.2", image, changelog=changelog).endswith(f"Image: `{image}`\n")

    def test_a_version_without_a_section_is_refused(self, changelog: Path):
        with pytest.raises(release.ReleaseError, match=r"no section for 1\.2"):
            release.notes("v1.2", changelog=changelog)


class TestChart:
    def test_the_package_has_the_image_of_the_release(self, tmp_path: Path):
        require("helm")
        package = release.chart("registry.example.com/kargoweb", DIGEST, tmp_path / "dist")
        with tarfile.open(package) as archive:
            content = archive.extractfile("kargoweb/values.yaml")
            assert content
            values = yaml.safe_load(content.read())
        assert values["image"]["repository"] == "registry.example.com/kargoweb"
        assert values["image"]["digest"] == DIGEST
        done = helm(
            "template",
            "kargoweb",
            package,
            "--kube-version",
            "1.34.0",
            "--set",
            "baseUrl=https://x.example.com",
        )
        assert done.returncode == 0, done.stderr
        assert f'image: "registry.example.com/kargoweb@{DIGEST}"' in done.stdout

    def test_a_digest_that_is_none_is_refused(self, tmp_path: Path):
        with pytest.raises(release.ReleaseError, match="'latest' isn't the digest"):
            release.chart("registry.example.com/kargoweb", "latest", tmp_path)
