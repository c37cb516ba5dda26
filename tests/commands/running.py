"""Run management commands, in this process or in a separate one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from tests.clusters import PATIENCE, ROOT


@dataclass(frozen=True)
class Completed:
    """The exit code of a command, and its output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: str) -> Completed:
    """Run a command in this process, which is faster."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(end.code or 0)
    except CommandError as error:
        err.write(f"{error}\n")
        code = error.returncode
    return Completed(code, out.getvalue(), err.getvalue())


def run_process(*arguments: str, cwd: Path | str = ROOT, **environment: str) -> Completed:
    """Run Python with these arguments in a separate process."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "kargoweb.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Completed(done.returncode, done.stdout, done.stderr)
