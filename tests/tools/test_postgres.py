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
ASK = """
import os, sys, psycopg
print(os.environ["DATABASE_URL"])
print(psycopg.connect(os.environ["DATABASE_URL"]).execute("SHOW server_encoding").fetchone()[0])
sys.exit(3)
"""


def lend(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, TOOL, *command], env=kept | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def installed() -> None:
    try:
        binaries()
    except NoServer as problem:
        skip(str(problem))


@pytest.mark.usefixtures("installed")
def test_the_server_runs_for_the_command_and_is_removed_afterwards() -> None:
    done = lend("--", sys.executable, "-c", ASK)
    assert done.returncode == 3, done.stderr
    address, encoding = done.stdout.split()
    assert encoding == "UTF8"
    (directory,) = parse_qs(urlsplit(address).query)["host"]
    assert not Path(directory).exists()


def test_database_url_is_passed_through() -> None:
    done = lend("--", "sh", "-c", 'echo "$DATABASE_URL"', DATABASE_URL="postgresql://elsewhere/name")
    assert done.stdout == "postgresql://elsewhere/name\n"


def test_a_database_url_of_another_kind_is_rejected() -> None:
    done = lend("--", "true", DATABASE_URL="sqlite:///x")
    assert done.returncode == 2
    assert "DATABASE_URL is not a PostgreSQL address" in done.stderr


def test_without_a_command_it_prints_the_usage() -> None:
    done = lend("true")
    assert done.returncode == 2
    assert "usage:" in done.stderr
