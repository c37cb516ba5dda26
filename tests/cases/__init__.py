"""Inputs from public repositories, with what Kargo does with them; see the README."""

import base64
import json
from pathlib import Path
from typing import Any


def cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of a file (without its ending)."""
    entries: list[dict[str, Any]] = json.loads((Path(__file__).parent / f"{name}.json").read_text("ascii"))
    return entries


def body_of(case: dict[str, Any]) -> bytes:
    """Return the body of a case in `bodies.json`."""
    return base64.b64decode(case["body_base64"]) if "body_base64" in case else case["body"].encode()
