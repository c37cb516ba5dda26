"""`tools/postgres.py` runs a command with a PostgreSQL server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.components import skip
from tools.postgres import NoServer, binaries

TOOL = Path(__file__).resolve().parents[2] / "tools" / "postgres.py"
SCRIPT = """
import os, sys, psycopg
print(os.environ["DATABASE_URL"])
print(psycopg.connect(os.environ["DATABASE_URL"]).execute("SHOW server_encoding").fetchone()[0])
sys.exit(3)
"""


def run_tool(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, TOOL, *command],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def postgresql_installed() -> None:
    try:
        binaries()
    except NoServer as problem:
        skip(str(problem))


@pytest.mark.usefixtures("postgresql_installed")
def test_the_server_runs_for_the_command_and_is_removed_afterwards() -> None:
    completed = run_tool("--", sys.executable, "-c", SCRIPT)
    assert completed.returncode == 3, completed.stderr
    address, encoding = completed.stdout.split()
    assert encoding == "UTF8"
    (directory,) = parse_qs(urlsplit(address).query)["host"]
    assert not Path(directory).exists()


def test_database_url_is_passed_through() -> None:
    completed = run_tool(
        "--", "sh", "-c", 'echo "$DATABASE_URL"', DATABASE_URL="postgresql://example.com/name"
    )
    assert completed.stdout == "postgresql://example.com/name\n"


def test_a_database_url_of_another_database_is_rejected() -> None:
    completed = run_tool("--", "true", DATABASE_URL="sqlite:///x")
    assert completed.returncode == 2
    assert "DATABASE_URL is not a PostgreSQL address" in completed.stderr


def test_without_a_command_it_prints_the_usage() -> None:
    completed = run_tool("true")
    assert completed.returncode == 2
    assert "usage:" in completed.stderr
