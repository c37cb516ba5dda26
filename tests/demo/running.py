"""Run `manage.py demo` in a child process, as users do."""

from __future__ import annotations

import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Self

from tests.clusters import PATIENCE, ROOT
from tests.ports import free_port

START_TIMEOUT = 200.0  # seconds; more than the demo gives itself before it says what it waits for
LAST_LINE = "Press Ctrl-C to stop"
# Settings of the test session for its own servers.
EXCLUDED_VARIABLES = {"DATABASE_URL", "KARGOWEB_SECRET_KEY", "KUBECONFIG", "DJANGO_SETTINGS_MODULE"}


class Demo:
    """A demo with its data in `directory`, on a free port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        inherited = {name: value for name, value in os.environ.items() if name not in EXCLUDED_VARIABLES}
        self.environment = inherited | {"KARGOWEB_DATA_DIR": str(directory), "PORT": str(self.port)}
        self.output = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def start(self, *arguments: str) -> None:
        """Start the demo, and wait for its last line of output."""
        self.process = self.popen("demo", *arguments)
        try:
            self.output = self._read_until(LAST_LINE)
        except BaseException:
            self._end()
            raise

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `manage.py` with these arguments."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run `manage.py` with these arguments. Return the exit code and the output."""
        process = self.popen(*arguments)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output.decode()

    def line(self, start: str) -> str:
        """Return the only line of the output that starts with `start`, without indentation."""
        [match] = [line.strip() for line in self.output.splitlines() if line.strip().startswith(start)]
        return match

    @property
    def descendants(self) -> set[int]:
        """The ids of all child processes of the demo, and of their child processes."""
        descendants: set[int] = set()
        generation = {self.process.pid}
        while generation:
            generation = {child for parent in generation for child in _children(parent)} - descendants
            descendants |= generation
        return descendants

    def deliveries(self) -> list[tuple[str, int]]:
        """Return the tag and status code of all deliveries, oldest first."""
        with closing(sqlite3.connect(self.directory / "kargoweb.sqlite3")) as connection:
            return connection.execute("SELECT tag, status FROM receivers_delivery ORDER BY id").fetchall()

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C. Return the exit code and the output since then."""
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output.decode()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _read_until(self, end: str) -> str:
        assert self.process.stdout is not None
        text, deadline = "", time.monotonic() + START_TIMEOUT
        while end not in text:
            assert time.monotonic() < deadline, f"the demo did not start:\n{text}"
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data, f"the demo ended:\n{text}"
                text += data.decode()
        return text


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return re.search(r"\) ([A-Z])", Path(f"/proc/{pid}/stat").read_text())[1] != "Z"  # type: ignore[index]  # always matches
    except OSError:
        return False


def _children(pid: int) -> set[int]:
    try:
        return {
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        }
    except OSError:
        return set()
