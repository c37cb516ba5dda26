"""Phrases that contain times and names, which a page shows in its own way. As text, times are in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a phrase: text, a time (`at`), or code."""

    text: str
    at: datetime | None = None
    code: bool = False


class Phrase(tuple[Piece, ...]):
    """A sequence of pieces; `str` returns its text."""

    __slots__ = ()

    def __str__(self) -> str:
        return "".join(piece.text for piece in self)


Part: TypeAlias = str | datetime | Piece | Phrase | None
"""What a phrase is put together from. None adds nothing."""


def phrase(*parts: Part) -> Phrase:
    """Return a phrase of texts, times, pieces and phrases."""
    return Phrase(piece for part in parts for piece in _pieces(part))


def _pieces(part: Part) -> Iterable[Piece]:
    if isinstance(part, Phrase):
        return part
    if isinstance(part, Piece):
        return (part,)
    if isinstance(part, datetime):
        return (Piece(f"{part.astimezone(UTC):%H:%M}", at=part),)
    return (Piece(part),) if part else ()


def code(text: str) -> Piece:
    """Return a piece that is shown as code."""
    return Piece(text, code=True)


def listed(names: Sequence[str], conjunction: str) -> str:
    """Return names as a list: `test`, `test and uat`, `test, uat, and prod`."""
    if len(names) < 3:
        return f" {conjunction} ".join(names)
    return f"{', '.join(names[:-1])}, {conjunction} {names[-1]}"


_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def long_duration(time: timedelta) -> str:
    """Return a time in whole units of one or two sizes: `34 minutes`, `1 hour 30 minutes`."""
    rest, parts = int(time.total_seconds()), []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"
