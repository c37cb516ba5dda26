"""Programs that a test needs. Without one, the test is skipped and reported at the end of the run; in CI it fails.

`kubectl = require("kubectl")` in a test or a fixture returns the path of the program.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from typing import Any, Final, NoReturn

import pytest

SKIPPED: Final = "NOT RUN: "
# Each program with the command that installs it.
COMPONENTS: Final = {
    "actionlint": "go install github.com/rhysd/actionlint/cmd/actionlint@latest",
    "buildah": "apt-get install buildah",
    "chromium-headless-shell": "apt-get install chromium-headless-shell",
    "curl": "apt-get install curl",
    "helm": "go install helm.sh/helm/v3/cmd/helm@latest",
    "kubectl": "apt-get install kubernetes-client",
    "mmdebstrap": "apt-get install mmdebstrap",
    "promtool": "apt-get install prometheus",
}


def require(component: str, *alternatives: str) -> str:
    """Return the path of a program in `COMPONENTS`, or else of the first of the `alternatives` that is installed.

    Skip the test if there is none, or fail the test if `CI` is set.
    """
    path = next(filter(None, map(shutil.which, (component, *alternatives))), None)
    return path or skip(f"{component} is not installed ({COMPONENTS[component]})")


def skip(reason: str) -> NoReturn:
    """Skip the test and report the reason at the end of the run. Fail the test if `CI` is set."""
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        pytest.fail(f"tests must not be skipped in CI: {reason}", pytrace=False)
    pytest.skip(SKIPPED + reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print each reason given to `skip` with the number of tests. A pytest hook, which `conftest.py` calls."""
    reasons = Counter[str]()
    for report in terminalreporter.getreports("skipped"):
        _path, _line, reason = report.longrepr
        if reason.startswith(f"Skipped: {SKIPPED}"):
            reasons[reason.partition(SKIPPED)[2]] += 1
    for reason, count in reasons.items():
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.write_line(f"{SKIPPED}{tests}: {reason}", yellow=True, bold=True)
