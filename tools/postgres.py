"""Runs a command with a PostgreSQL server at hand: `python tools/postgres.py -- pytest ...`.

The command finds the server's address in `DATABASE_URL`. If that is set already, the command is run with it as it is;
if not, a private server is started from the binaries of the distribution's package, on a socket in a temporary
directory, and is removed with all its data when the command has ended, however it ended.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

DEBIAN: Final = Path("/usr/lib/postgresql")
USER: Final = "kargoweb"
START_SECONDS: Final = 60
# Of the 107 bytes that the path of a Unix socket may have; the rest is what we add to it.
LONGEST_PARENT: Final = 60
# Nothing here outlives the command, so nothing has to reach the disk.
FAST: Final = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"


class NoServer(Exception):
    """A server cannot be had; the text says what to do."""


def binaries() -> Path:
    """Return the directory with `initdb` and `pg_ctl`, the newest of several. Raises `NoServer`."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(
        (p.parent for p in DEBIAN.glob("*/bin/initdb")), key=lambda p: float(p.parent.name), reverse=True
    )
    for directory in found:
        if (directory / "pg_ctl").exists():
            return directory
    raise NoServer("no PostgreSQL server here: install one (apt-get install postgresql) or set DATABASE_URL")


def server_user() -> dict[str, Any]:
    """Return `subprocess` arguments for the user that the server runs as: initdb refuses to be root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoServer(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as"
    )


@contextmanager
def server() -> Iterator[str]:
    """Start a private server; yield its address; stop and remove it. Raises `NoServer`."""
    bin_directory, user = binaries(), server_user()
    home = _home(user)
    data, log = home / "data", home / "log"
    try:
        _run(
            [
                bin_directory / "initdb",
                "-D",
                data,
                "-U",
                USER,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
            ],
            user,
        )
        options = f"-k '{home}' -c listen_addresses='' {FAST}"
        start = ["-D", data, "-l", log, "-o", options, "-w", "-t", START_SECONDS, "start"]
        try:
            _run([bin_directory / "pg_ctl", *start], user, log)
            yield f"postgresql://{USER}@/postgres?host={quote(str(home), safe='')}"
        finally:
            stop = [str(bin_directory / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"]
            subprocess.run(stop, check=False, capture_output=True, cwd="/", **user)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _home(user: dict[str, Any]) -> Path:
    """Make a directory that the server's user owns and whose path is short enough for a socket in it."""
    parent = tempfile.gettempdir()
    parent = parent if len(parent) < LONGEST_PARENT else "/tmp"
    home = Path(tempfile.mkdtemp(prefix="kargoweb-pg-", dir=parent))
    if user:
        os.chown(home, user["user"], user["group"])
    return home


def _run(command: Sequence[object], user: dict[str, Any], log: Path | None = None) -> None:
    # A session of its own: Ctrl-C is for the command, the server is stopped after it.
    words = [str(word) for word in command]
    # What `pg_ctl` starts keeps its output open: wait for the process, not for the end of a pipe.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            check=False,
            **user,
        )
        if done.returncode:
            output.seek(0)
            told = output.read() + (log.read_text() if log and log.exists() else "")
            raise NoServer(f"{words[0]} failed:\n{told.strip()}")


def run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run the command to its end, also when we are told to end meanwhile; return its exit code as a shell does."""
    with subprocess.Popen(command, env=os.environ | environment) as process:
        # Ctrl-C reaches the command as well, and it is the command that says when it has ended.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str]) -> int:
    """Run the command after `--`; return its exit code, or 2 if there is none to run or no server to run it on."""
    if len(arguments) < 2 or arguments[0] != "--":
        print("usage: python tools/postgres.py -- command ...", file=sys.stderr)
        return 2
    given = os.environ.get("DATABASE_URL", "")
    if given and not given.startswith("postgres"):
        print("DATABASE_URL is set, but not to the address of a PostgreSQL server", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if given:
            return run(arguments[1:], {})
        with server() as address:
            return run(arguments[1:], {"DATABASE_URL": address})
    except NoServer as problem:
        print(f"PostgreSQL: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
