"""Start, monitor and stop the demo's child processes, and write their output to log files."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from demo.paths import DemoPaths

ROOT: Final = Path(__file__).resolve().parent.parent
OUTPUT_DELAY: Final = 0.2  # seconds until the output of an exited process has been read from its pipe
STOP_TIMEOUT: Final = 5.0  # seconds for all processes to exit after SIGTERM; then they are killed

_LEVEL: Final = re.compile(r"^\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) |^\[(INFO|WARNING|ERROR)\] ")
_QUIET: Final = frozenset({"DEBUG", "INFO"})


class ChildExited(Exception):
    """A child process exited unexpectedly. The message says which one and how."""


class Children:
    """Child processes, which end with this process.

    Their output goes to log files. While `print_warnings` is set, warnings also go to standard error, except during
    startup, when processes warn because they wait for each other.
    """

    def __init__(self, paths: DemoPaths) -> None:
        self._paths = paths
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self.print_warnings = False
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "demo.watchdog"], cwd=ROOT, stdin=subprocess.PIPE, process_group=0
        )

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> IO[str]:
        """Run Python with these arguments; return its standard output, which must be passed to `listen` after use."""
        process = subprocess.Popen(  # noqa: S603 - modules of this project
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Not in the terminal's process group: Ctrl-C reaches only the demo, which stops its children in order.
            process_group=self._watchdog.pid,
        )
        self._processes[name] = process
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        self._paths.log(name).write_text("")
        self.listen(name, process.stderr)
        return process.stdout

    def listen(self, name: str, stream: IO[str]) -> None:
        """Copy the output of a process to its log until it exits."""
        threading.Thread(target=self._listen, args=(name, stream), name=name, daemon=True).start()

    def check(self) -> None:
        """Raise `ChildExited` if a process has exited."""
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                ending = (
                    f"was killed ({signal.Signals(-code).name})" if code < 0 else f"exited with code {code}"
                )
                raise ChildExited(f"{name} {ending}: {self._last_line(name)}")

    def stop(self) -> None:
        """Stop all processes in reverse order of their start."""
        self.print_warnings = False
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in reversed(self._processes.values()):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        assert self._watchdog.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(OSError):
            self._watchdog.stdin.write(b"x")
            self._watchdog.stdin.close()
        self._watchdog.wait()

    def _last_line(self, name: str) -> str:
        """Return the last line of a process's log and the path of the log."""
        time.sleep(OUTPUT_DELAY)
        path = self._paths.log(name)
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip()} (more in {path})" if len(lines) > 1 else "".join(lines) or "no output"

    def _listen(self, name: str, stream: IO[str]) -> None:
        is_printed = True
        with stream, self._paths.log(name).open("a") as log:
            for line in stream:
                log.write(line)
                log.flush()
                if level := _LEVEL.match(line):
                    is_printed = (level[1] or level[2]) not in _QUIET
                if is_printed and line.strip() and self.print_warnings:
                    sys.stderr.write(f"{name}: {line}")
