"""A missing program skips tests, with a report at the end of the run. In CI the tests fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDY = """
from tests.components import require

def test_one():
    require("kubectl")

def test_two():
    require("kubectl")
"""


def run_needy_tests(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tests that need kubectl with an empty PATH."""
    (directory / "test_needy.py").write_text(NEEDY)
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
    done = run_needy_tests(tmp_path)
    assert done.returncode == 0
    assert "NOT RUN: 2 tests: kubectl is not installed (apt-get install kubernetes-client)" in done.stdout


def test_a_missing_program_fails_the_tests_in_ci(tmp_path: Path) -> None:
    done = run_needy_tests(tmp_path, CI="true")
    assert done.returncode == 1
    assert "tests must not be skipped in CI: kubectl is not installed" in done.stdout
