"""The demo's child processes: started, listened to, ended."""

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

from demo.places import Places

ROOT: Final = Path(__file__).resolve().parent.parent
LAST_WORDS_PAUSE: Final = 0.2  # seconds until what an ended child has said is read from its pipe
END_SECONDS: Final = 5.0  # for all children to end when asked to; then they are killed

_LEVEL: Final = re.compile(r"^\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) |^\[(INFO|WARNING|ERROR)\] ")
_QUIET: Final = frozenset({"DEBUG", "INFO"})


class ChildEnded(Exception):
    """A child process ended that was to go on; the text says which, and how."""


class Children:
    """Processes that end with this one.

    What they say goes to files; warnings go to standard error as well, while `audible`: parts that wait for one another
    complain at the start.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self.audible = False
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "demo.guardian"], cwd=ROOT, stdin=subprocess.PIPE, process_group=0
        )

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> IO[str]:
        """Run Python with these arguments; return its standard output, to be given to `listen` in the end."""
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Out of the terminal's reach: Ctrl-C comes to the demo, which ends its children in order.
            process_group=self._guardian.pid,
        )
        self._processes[name] = process
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        self._places.log(name).write_text("")
        self.listen(name, process.stderr)
        return process.stdout

    def listen(self, name: str, stream: IO[str]) -> None:
        """Read what a child says until it ends."""
        threading.Thread(target=self._listen, args=(name, stream), name=name, daemon=True).start()

    def check(self) -> None:
        """Raise `ChildEnded` if one has ended."""
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                how = (
                    f"was killed ({signal.Signals(-code).name})"
                    if code < 0
                    else f"ended with exit code {code}"
                )
                raise ChildEnded(f"{name} {how}: {self._last_words(name)}")

    def end(self) -> None:
        """End all children, the one that was started last first."""
        self.audible = False
        deadline = time.monotonic() + END_SECONDS
        for process in reversed(self._processes.values()):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        assert self._guardian.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(OSError):
            self._guardian.stdin.write(b"x")
            self._guardian.stdin.close()
        self._guardian.wait()

    def _last_words(self, name: str) -> str:
        """Return the last line that a child has said, and where the others are."""
        time.sleep(LAST_WORDS_PAUSE)
        path = self._places.log(name)
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        return (
            f"{lines[-1].strip()} (more in {path})" if len(lines) > 1 else "".join(lines) or "it said nothing"
        )

    def _listen(self, name: str, stream: IO[str]) -> None:
        shown = True
        with stream, self._places.log(name).open("a") as log:
            for line in stream:
                log.write(line)
                log.flush()
                if level := _LEVEL.match(line):
                    shown = (level[1] or level[2]) not in _QUIET
                if shown and line.strip() and self.audible:
                    sys.stderr.write(f"{name}: {line}")
