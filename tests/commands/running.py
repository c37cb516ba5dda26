"""Commands as people and scripts run them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from tests.clusters import PATIENCE, ROOT


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code, and what it wrote to both outputs."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: str) -> Done:
    """Run a command in this process, which spares its start."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(end.code or 0)
    except CommandError as error:
        err.write(f"{error}\n")
        code = error.returncode
    return Done(code, out.getvalue(), err.getvalue())


def run_alone(*arguments: str, **environment: str) -> Done:
    """Run `manage.py` as a process of its own."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "kargoweb.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Done(done.returncode, done.stdout, done.stderr)
