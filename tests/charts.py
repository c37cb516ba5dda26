"""The Helm chart, rendered."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.clusters import ROOT
from tests.components import require

CHART: Final = ROOT / "deploy" / "chart"
EXAMPLES: Final = sorted((CHART / "ci").glob("*.yaml"))
KUBERNETES: Final = "1.34.0"
NAMESPACE: Final = "kargoweb"

Manifest = dict[str, Any]


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm; return its exit code and output."""
    return subprocess.run([require("helm"), *arguments], capture_output=True, text=True, check=False)


def render_text(values: Path, *options: str) -> str:
    """Return the manifests of the chart with these values."""
    template = ("template", "kargoweb", CHART, "--namespace", NAMESPACE, "--kube-version", KUBERNETES)
    done = helm(*template, "--values", values, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(values: Path, *options: str) -> list[Manifest]:
    """Return the objects of the chart with these values."""
    return [item for item in yaml.safe_load_all(render_text(values, *options)) if item]
