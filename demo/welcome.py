"""Compose the text that the demo prints when it is ready: addresses, sign-in, and commands to try."""

from __future__ import annotations

import shlex
from pathlib import Path

from demo.account import USER
from demo.installation import EXAMPLE_PROJECT, EXAMPLE_REPOSITORY, Example
from demo.paths import DemoPaths


def welcome(base_url: str, password: str, paths: DemoPaths, example: Example | None, directory: Path) -> str:
    """Return the text. Paths below the working `directory` are relative, so that commands can be copied."""
    kubeconfig = _display_path(paths.kubeconfig, directory)
    rows = [
        ("Address", base_url),
        ("Sign in", f"{USER}  {password}  (stored in {_display_path(paths.password, directory)})"),
        ("Kubeconfig", kubeconfig),
    ]
    if example:
        rows += [("Receiver", example.receiver), ("", example.url)]
    lines = ["", *(f"  {name:<12}{value}" for name, value in rows), ""]
    for title, command in _commands(paths, example, directory):
        lines += [f"  {title}", f"    {command}", ""]
    return "\n".join([*lines, "  Press Ctrl-C to stop. The data is kept for the next start.", ""])


def _commands(paths: DemoPaths, example: Example | None, directory: Path) -> list[tuple[str, str]]:
    kubectl = f"kubectl --kubeconfig {shlex.quote(_display_path(paths.kubeconfig, directory))}"
    query = "-o=jsonpath='{.status.webhookReceivers}'"
    push = (
        f"{_python(directory)} manage.py push {EXAMPLE_REPOSITORY}:{example.next_tag if example else '1.2.3'}"
    )
    commands = []
    if example:
        body = shlex.quote(f"@{_display_path(paths.push_body, directory)}")
        curl = f"curl -i -H 'Content-Type: application/json' --data-binary {body} {shlex.quote(example.url)}"
        commands.append(
            (f"Send the webhook for {EXAMPLE_REPOSITORY}:{example.tag}, as Docker Hub does:", curl)
        )
    return [
        *commands,
        ("Push any tag and send its webhooks:", push),
        (
            "Show the receiver URLs, as in Kargo's documentation:",
            f"{kubectl} get projectconfigs {EXAMPLE_PROJECT} -n {EXAMPLE_PROJECT} {query}",
        ),
    ]


def _python(directory: Path) -> str:
    """Return the command that runs Python with kargoweb's requirements."""
    local = directory / ".venv" / "bin" / "python"
    return ".venv/bin/python" if local.exists() else "python"


def _display_path(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)
