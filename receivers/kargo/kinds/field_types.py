"""Reads tables of field types, in which the shapes of large events are written down.

A line is `Name = field:type field:type ...`; indented lines continue it. A type is `text`, `int`, `number`, `bool`,
`time`, `timestamp` or `any`, the name of another line, or fields in parentheses. A prefix `*` stands for a pointer,
`[]` for a list and `{}` for a map with any keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from receivers.kargo.golang.gojson import Expected, JsonType, ListOf, MapOf, Pointer, Shape

_SCALARS: Final = {
    "text": JsonType.TEXT,
    "int": JsonType.INTEGER,
    "number": JsonType.NUMBER,
    "bool": JsonType.BOOLEAN,
    "time": JsonType.TIME,
    "timestamp": JsonType.TIMESTAMP,
    "any": JsonType.LOOSE,
}
_TOKEN: Final = re.compile(r"(\w+):|(\*|\[\]|\{\})|(\w+)|([()])")


def read_shapes(table: str, known: dict[str, Shape] | None = None) -> dict[str, Shape]:
    """Return the shapes of a table by name. `known` has further shapes that it refers to. Types may be recursive."""
    lines = [line.split("=", 1) for line in re.sub(r"\n\s+", " ", table).strip().splitlines()]
    shapes: dict[str, dict[str, Expected]] = {name.strip(): {} for name, _ in lines}
    everything: dict[str, Shape] = {**(known or {}), **shapes}
    for name, text in lines:
        shapes[name.strip()].update(_members(_TOKEN.finditer(text), everything))
    return everything


def _members(tokens: Iterator[re.Match[str]], shapes: dict[str, Shape]) -> Iterator[tuple[str, Expected]]:
    """Yield the fields up to a closing parenthesis or the end."""
    for token in tokens:
        if token[4] == ")":
            return
        yield token[1], _type(tokens, shapes)


def _type(tokens: Iterator[re.Match[str]], shapes: dict[str, Shape]) -> Expected:
    token = next(tokens)
    match token[0]:
        case "*":
            return Pointer(_type(tokens, shapes))
        case "[]":
            return ListOf(_type(tokens, shapes))
        case "{}":
            return MapOf(_type(tokens, shapes))
        case "(":
            return dict(_members(tokens, shapes))
        case name:
            return _SCALARS[name] if name in _SCALARS else shapes[name]
