"""Run a command with a PostgreSQL server: `python tools/postgres.py -- pytest ...`.

The command gets the server's address in `DATABASE_URL`. If `DATABASE_URL` is set, the command uses that server.
Otherwise the tool starts a private server from the distribution's package, on a socket in a temporary directory, and
removes it with all its data when the command ends, also after a failure or a signal.
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
START_TIMEOUT: Final = 60  # seconds
# Bytes. A Unix socket path has at most 107; the temporary directory and the socket name take up to 47.
MAX_PARENT_LENGTH: Final = 60
# The data is deleted with the server, so durability only costs time.
SERVER_OPTIONS: Final = (
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
)


class NoServer(Exception):
    """No server is available. The message is the cause and the fix."""


def binaries() -> Path:
    """Return the directory of the newest `initdb` and `pg_ctl`. Raises `NoServer` if there is none."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(
        (p.parent for p in DEBIAN.glob("*/bin/initdb")), key=lambda p: float(p.parent.name), reverse=True
    )
    for directory in candidates:
        if (directory / "pg_ctl").exists():
            return directory
    raise NoServer("PostgreSQL is not installed: run apt-get install postgresql, or set DATABASE_URL")


def server_user() -> dict[str, Any]:
    """Return the `subprocess` arguments that select the server's user, because initdb refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoServer("PostgreSQL does not run as root, and this machine has no user `postgres` or `nobody`")


@contextmanager
def server() -> Iterator[str]:
    """Start a private server, yield its address, then stop and remove it. Raises `NoServer`."""
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
        options = f"-k '{home}' -c listen_addresses='' {SERVER_OPTIONS}"
        start = ["-D", data, "-l", log, "-o", options, "-w", "-t", START_TIMEOUT, "start"]
        try:
            _run([bin_directory / "pg_ctl", *start], user, log)
            yield f"postgresql://{USER}@/postgres?host={quote(str(home), safe='')}"
        finally:
            stop = [str(bin_directory / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"]
            subprocess.run(stop, check=False, capture_output=True, cwd="/", **user)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _home(user: dict[str, Any]) -> Path:
    """Create a directory for the server's user, with a path short enough for a Unix socket."""
    parent = tempfile.gettempdir()
    parent = parent if len(parent) < MAX_PARENT_LENGTH else "/tmp"
    home = Path(tempfile.mkdtemp(prefix="kargoweb-pg-", dir=parent))
    if user:
        os.chown(home, user["user"], user["group"])
    return home


def _run(command: Sequence[object], user: dict[str, Any], log: Path | None = None) -> None:
    # In its own session, so that Ctrl-C reaches the command only; the server stops after it.
    words = [str(word) for word in command]
    # A file, not a pipe: the server started by `pg_ctl` keeps its output open, so a pipe would never end.
    with tempfile.TemporaryFile("w+") as output:
        completed = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            check=False,
            **user,
        )
        if completed.returncode:
            output.seek(0)
            details = output.read() + (log.read_text() if log and log.exists() else "")
            raise NoServer(f"{words[0]} failed:\n{details.strip()}")


def run(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run the command; return its exit code as a shell does. SIGINT and SIGTERM end the command, not this process."""
    with subprocess.Popen(command, env=os.environ | environment) as process:
        # The terminal sends Ctrl-C to the command as well; wait until it exits.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str]) -> int:
    """Run the command after `--`. Return its exit code, or 2 without a command or a server."""
    if len(arguments) < 2 or arguments[0] != "--":
        print("usage: python tools/postgres.py -- command ...", file=sys.stderr)
        return 2
    url = os.environ.get("DATABASE_URL", "")
    if url and not url.startswith("postgres"):
        print(
            "DATABASE_URL is not a PostgreSQL address (postgresql://...); unset it to start a private server",
            file=sys.stderr,
        )
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if url:
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
