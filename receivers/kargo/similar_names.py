"""Names that differ by a typing error or two."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

SUGGESTED: Final = 3  # names; a longer list does not help
COMPARED: Final = 200  # names; more than most projects have, and a few milliseconds
_MAX_LENGTH: Final = 255  # characters; no registry accepts a longer name
_CACHE_SIZE: Final = 256  # names; repositories that nothing subscribes to are pushed to again and again
_LONG_NAME: Final = 8  # characters; in a shorter one, two edits make another word


@lru_cache(_CACHE_SIZE)
def similar_names(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the known names that are closest to `name`, but not equal to it; none if all are too different.

    At most two characters may be missing, added, replaced or swapped, or one if the name is short. Compares the first
    `COMPARED` names and returns at most `SUGGESTED`, all at the same distance, sorted.
    """
    if not 1 < len(name) <= _MAX_LENGTH:
        return ()
    most = 2 if len(name) >= _LONG_NAME else 1
    distances = {
        other: _distance(name, other, most) for other in known[:COMPARED] if _may_be_close(name, other, most)
    }
    closest = min(distances.values(), default=0)
    if not 0 < closest <= most:
        return ()
    return tuple(sorted(other for other, distance in distances.items() if distance == closest)[:SUGGESTED])


def _may_be_close(name: str, other: str, most: int) -> bool:
    """Return False for most of the names that are more than `most` edits away, without comparing them."""
    # One edit changes the length by one at most, and replaces one letter by another.
    return name != other and abs(len(name) - len(other)) <= most and len(set(name) ^ set(other)) <= 2 * most


def _distance(name: str, other: str, most: int) -> int:
    """Return the number of edits between two names (optimal string alignment), or any number above `most`."""
    name, other = _without_common_ends(name, other)
    if not name or not other:
        return len(name) + len(other)
    if not most:
        return 1
    if most == 1:
        # The names differ at both ends, so one edit is all there is.
        return 1 if len(name) == len(other) == 1 or (len(name) == 2 and name == other[::-1]) else 2
    edited = [(name[1:], other), (name, other[1:]), (name[1:], other[1:])]
    if name[:2] == other[1::-1]:
        edited.append((name[2:], other[2:]))
    return 1 + min(_distance(*rest, most - 1) for rest in edited)


def _without_common_ends(name: str, other: str) -> tuple[str, str]:
    shorter, start, end = min(len(name), len(other)), 0, 0
    while start < shorter and name[start] == other[start]:
        start += 1
    while end < shorter - start and name[-1 - end] == other[-1 - end]:
        end += 1
    return name[start : len(name) - end], other[start : len(other) - end]
