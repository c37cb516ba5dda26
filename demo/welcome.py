"""What the demo says when it is up: where everything is, and what to try first."""

from __future__ import annotations

import shlex
from pathlib import Path

from demo.account import USER
from demo.installation import EXAMPLE_PROJECT, EXAMPLE_REPOSITORY, Offer
from demo.places import Places


def welcome(base_url: str, password: str, places: Places, offer: Offer | None, here: Path) -> str:
    """Return the text; paths are relative to `here` where they are below it, commands can be copied as they are."""
    kubeconfig = _shown(places.kubeconfig, here)
    facts = [
        ("Address", base_url),
        ("Sign in", f"{USER}  {password}  (kept in {_shown(places.password, here)})"),
        ("Kubeconfig", kubeconfig),
    ]
    if offer:
        facts += [("Receiver", offer.receiver), ("", offer.url)]
    lines = ["", *(f"  {name:<12}{value}" for name, value in facts), ""]
    for title, command in _commands(places, offer, here):
        lines += [f"  {title}", f"    {command}", ""]
    return "\n".join([*lines, "  Ctrl-C ends all of it; started again, it finds its deliveries.", ""])


def _commands(places: Places, offer: Offer | None, here: Path) -> list[tuple[str, str]]:
    kubectl = f"kubectl --kubeconfig {shlex.quote(_shown(places.kubeconfig, here))}"
    query = "-o=jsonpath='{.status.webhookReceivers}'"
    push = f"{_python(here)} manage.py push {EXAMPLE_REPOSITORY}:{offer.next_tag if offer else '1.2.3'}"
    commands = []
    if offer:
        body = shlex.quote(f"@{_shown(places.push_body, here)}")
        curl = f"curl -i -H 'Content-Type: application/json' --data-binary {body} {shlex.quote(offer.url)}"
        commands.append((f"Announce {EXAMPLE_REPOSITORY}:{offer.tag} as Docker Hub does:", curl))
    return [
        *commands,
        ("Push any tag, and have Docker Hub's part played:", push),
        (
            "Receiver URLs, as in Kargo's documentation:",
            f"{kubectl} get projectconfigs {EXAMPLE_PROJECT} -n {EXAMPLE_PROJECT} {query}",
        ),
    ]


def _python(here: Path) -> str:
    """Return how to call the Python of this environment."""
    local = here / ".venv" / "bin" / "python"
    return ".venv/bin/python" if local.exists() else "python"


def _shown(path: Path, here: Path) -> str:
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
