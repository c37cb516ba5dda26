"""`manage.py serve`: what it reports if it cannot start, and the commands that use the same database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands.running import run_process


def damage(directory: Path, start: int) -> None:
    """Store a SQLite file that is damaged from `start` on."""
    path = directory / "kargoweb.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE django_migrations (id integer, app text, name text, applied text)")
    content = bytearray(path.read_bytes())
    content[start : start + 1_000] = b"\xff" * 1_000
    path.write_bytes(content)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("start", "command"),
    [
        (0, ["serve"]),
        (100, ["serve"]),  # after the header
        (4_096, ["serve"]),  # the second page
        (0, ["users"]),
        (0, ["createsuperuser", "--noinput", "--username=x", "--email=x"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_damaged_sqlite_file_is_an_error_of_one_line(tmp_path, start, command):
    damage(tmp_path, start)
    done = run_process("manage.py", *command, KARGOWEB_DATA_DIR=str(tmp_path), DATABASE_URL="")
    assert done.code == 3
    assert "The SQLite file is damaged: " in done.err
    assert done.err.endswith("to start with an empty delivery log.\n")
    assert done.err.count("\n") == 1


@pytest.mark.e2e
def test_a_schema_of_a_newer_version_is_refused(tmp_path):
    variables = {"KARGOWEB_DATA_DIR": str(tmp_path), "DATABASE_URL": ""}
    assert run_process("manage.py", "migrate", "-v0", **variables).code == 0
    with closing(sqlite3.connect(tmp_path / "kargoweb.sqlite3")) as connection, connection:
        connection.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('receivers', '0999_later', '2030-01-01')"
        )
    done = run_process("manage.py", "serve", **variables)
    assert (done.code, done.out) == (3, "")
    assert "was migrated by a newer version of kargoweb than" in done.err
    assert "(it has 0999_later). Run that version, or restore a backup" in done.err
    assert done.err.count("\n") == 1
