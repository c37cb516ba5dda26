"""What a test may need from the machine. A machine that lacks it leaves the test out, loudly; CI must not lack it.

`kubectl = require("kubectl")` in a test or a fixture returns the path of the program. What was left out, and what to
install for it, is said again at the end of the run.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from typing import Any, Final, NoReturn

import pytest

LEFT_OUT: Final = "LEFT OUT: "
# Each program with the way to get it.
COMPONENTS: Final = {
    "chromium": "apt-get install chromium",
    "curl": "apt-get install curl",
    "kubectl": "apt-get install kubernetes-client",
}


def require(component: str) -> str:
    """Return the path of a program of `COMPONENTS`; without it, skip the test, or fail it if `CI` is set."""
    path = shutil.which(component)
    return path or leave_out(f"no {component} on this machine ({COMPONENTS[component]})")


def leave_out(reason: str) -> NoReturn:
    """Skip the test for a reason that is told at the end; fail it if `CI` is set, where nothing may be left out."""
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        pytest.fail(f"in CI nothing is left out: {reason}", pytrace=False)
    pytest.skip(LEFT_OUT + reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end of the run what was left out. A plugin hook, which a `conftest.py` imports."""
    reasons = Counter[str]()
    for report in terminalreporter.getreports("skipped"):
        _path, _line, reason = report.longrepr
        if reason.startswith(f"Skipped: {LEFT_OUT}"):
            reasons[reason.partition(LEFT_OUT)[2]] += 1
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{LEFT_OUT}{count} tests: {reason}", yellow=True, bold=True)
