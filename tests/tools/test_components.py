"""What a machine lacks is left out loudly, and never in CI."""

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
    """Run tests that need kubectl on a machine without any program."""
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


def test_it_is_told_at_the_end_what_to_install(tmp_path: Path) -> None:
    done = run_needy_tests(tmp_path)
    assert done.returncode == 0
    assert "LEFT OUT: 2 tests: no kubectl on this machine (apt-get install kubernetes-client)" in done.stdout


def test_in_ci_it_is_a_failure(tmp_path: Path) -> None:
    done = run_needy_tests(tmp_path, CI="true")
    assert done.returncode == 1
    assert "in CI nothing is left out: no kubectl" in done.stdout
