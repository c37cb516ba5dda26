"""A missing program skips tests, with a report at the end of the run. In CI the tests fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS_NEEDING_KUBECTL = """
from tests.components import require

def test_one():
    require("kubectl")

def test_two():
    require("kubectl")
"""


def run_tests_without_kubectl(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests that need kubectl with an empty PATH."""
    (directory / "test_kubectl.py").write_text(TESTS_NEEDING_KUBECTL)
    (directory / "pytest.ini").write_text("[pytest]\n")
    plugins = ["-p", "tests.components", "-p", "no:django", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", directory / "pytest.ini", *plugins, directory],
        cwd=ROOT,
        env=os.environ | {"PATH": str(directory), "CI": ""} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_summary_names_the_package_to_install(tmp_path: Path) -> None:
    completed = run_tests_without_kubectl(tmp_path)
    assert completed.returncode == 0
    assert (
        "NOT RUN: 2 tests: kubectl is not installed (apt-get install kubernetes-client)" in completed.stdout
    )


def test_a_missing_program_fails_the_tests_in_ci(tmp_path: Path) -> None:
    completed = run_tests_without_kubectl(tmp_path, CI="true")
    assert completed.returncode == 1
    assert "tests must not be skipped in CI: kubectl is not installed" in completed.stdout
