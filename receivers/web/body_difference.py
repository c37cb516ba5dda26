"""The difference between the bodies of two deliveries, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from receivers.deliveries.escaping import escape_invisible

MOST_FIELDS: Final = 100
"""Fields that differ; Docker Hub's bodies have about 25."""

LONGEST_VALUE: Final = 300  # characters; longer values are cut off
MOST_READ: Final = 2_000  # fields of one body
LONGEST_BODY: Final = 64 << 10  # bytes


@dataclass(frozen=True, slots=True)
class BodyChange:
    """A field that differs. `before` is None if it was added, `after` if it was removed."""

    path: str
    before: str | None
    after: str | None


def body_changes(before: bytes, after: bytes) -> list[BodyChange] | None:
    """Return the fields that differ, in the order of the newer body; None if a body isn't a JSON object."""
    old, new = _fields(before), _fields(after)
    if old is None or new is None:
        return None
    paths = [*new, *(path for path in old if path not in new)]
    changes = (BodyChange(path, old.get(path), new.get(path)) for path in paths)
    return [change for change in changes if change.before != change.after][:MOST_FIELDS]


def _fields(body: bytes) -> dict[str, str] | None:
    try:
        value = json.loads(body) if len(body) <= LONGEST_BODY else None
        fields: dict[str, str] = {}
        for path, text in _walk(value, ""):
            fields[path] = text
            if len(fields) >= MOST_READ:
                break
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(value, dict) else None


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{place}]")
    else:
        text = escape_invisible(json.dumps(value, ensure_ascii=False))
        shown = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
        yield escape_invisible(path)[:LONGEST_VALUE], shown
