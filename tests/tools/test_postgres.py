"""`tools/postgres.py` lends a command a PostgreSQL server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.components import leave_out
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
        leave_out(str(problem))


@pytest.mark.usefixtures("installed")
def test_the_command_finds_a_server_that_is_gone_afterwards() -> None:
    done = lend("--", sys.executable, "-c", ASK)
    assert done.returncode == 3, done.stderr
    address, encoding = done.stdout.split()
    assert encoding == "UTF8"
    (directory,) = parse_qs(urlsplit(address).query)["host"]
    assert not Path(directory).exists()


def test_a_server_that_is_given_is_used_as_it_is() -> None:
    done = lend("--", "sh", "-c", 'echo "$DATABASE_URL"', DATABASE_URL="postgresql://elsewhere/name")
    assert done.stdout == "postgresql://elsewhere/name\n"


def test_another_database_is_refused() -> None:
    done = lend("--", "true", DATABASE_URL="sqlite:///x")
    assert done.returncode == 2
    assert "not to the address of a PostgreSQL server" in done.stderr


def test_without_a_command_it_says_how_it_is_used() -> None:
    done = lend("true")
    assert done.returncode == 2
    assert "usage:" in done.stderr
