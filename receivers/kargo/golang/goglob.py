"""Glob patterns with the meaning that they have in doublestar 4, the Go library that Kargo matches paths with.

A pattern becomes a regular expression, so that the time to match is linear: `*` and `?` stay inside a segment of the
path, `**` spans any number of segments, `[a-z]` and `[!a]` are classes, and `{a,b}` are alternatives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_MAX_ALTERNATIVES: Final = 200  # of one pattern; `{a,b}` multiply


class InvalidGlob(ValueError):
    """A pattern that doublestar rejects, or that has too many alternatives; the message says what is wrong with it."""


@lru_cache(1024)
def glob_regex(pattern: str) -> str:
    """Return a regular expression (RE2) that matches the whole of exactly the paths that the pattern matches.

    Raise `InvalidGlob` if the pattern is invalid.
    """
    _check(pattern)
    alternatives: list[str] = []
    for alternative in _expanded(pattern):
        alternatives.append(_translated(alternative))
        if len(alternatives) > _MAX_ALTERNATIVES:
            raise InvalidGlob(f"it has more than {_MAX_ALTERNATIVES} alternatives")
    return rf"(?s)\A(?:{'|'.join(alternatives)})\z"


def _check(pattern: str) -> None:
    depth = at = 0
    while at < len(pattern):
        match pattern[at]:
            case "\\":
                at += 1
                if at >= len(pattern):
                    raise InvalidGlob("it ends in a backslash")
            case "[":
                at = _class_end(pattern, at)
            case "{":
                depth += 1
            case "}":
                depth -= 1
                if depth < 0:
                    raise InvalidGlob("it has a } without a {")
            case _:
                pass
        at += 1
    if depth:
        raise InvalidGlob("it has a { without a }")


def _class_end(pattern: str, start: int) -> int:
    """Return the position of the bracket that closes the class at `start`. Raise `InvalidGlob`."""
    at = start + 1
    if pattern[at : at + 1] in {"!", "^"}:
        at += 1
    if pattern[at : at + 1] in {"", "]"}:
        raise InvalidGlob("it has an empty class, or a [ without a ]")
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "]":
            return at
        at += 1
    raise InvalidGlob("it has a [ without a ]")


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the pattern once for each combination of its alternatives."""
    start = _first_brace(pattern)
    if start < 0:
        yield pattern
        return
    before, alternatives, after = pattern[:start], *_alternatives(pattern, start)
    for alternative in alternatives:
        # The text before has no alternatives.
        for rest in _expanded(alternative + after):
            yield before + rest


def _first_brace(pattern: str) -> int:
    at = 0
    while at < len(pattern):
        match pattern[at]:
            case "\\":
                at += 1
            case "[":
                at = _class_end(pattern, at)
            case "{":
                return at
            case _:
                pass
        at += 1
    return -1


def _alternatives(pattern: str, start: int) -> tuple[list[str], str]:
    """Return the alternatives of the brace at `start`, and the text after it."""
    parts, depth, begin, at = [], 0, start + 1, start
    while at < len(pattern):
        match pattern[at]:
            case "\\":
                at += 1
            case "{":
                depth += 1
            case "," if depth == 1:
                parts.append(pattern[begin:at])
                begin = at + 1
            case "}":
                depth -= 1
                if not depth:
                    return [*parts, pattern[begin:at]], pattern[at + 1 :]
            case _:
                pass
        at += 1
    raise InvalidGlob("it has a { without a }")


def _translated(pattern: str) -> str:
    """Return the regular expression for a pattern without alternatives."""
    # `/**` and `/**/` at the end match nothing, too.
    ending = ""
    for suffix, regex in (("/**/", "(?:/(?:.*/)?)?"), ("/**", "(?:/.*)?")):
        if pattern.endswith(suffix) and not pattern.removesuffix(suffix).endswith("\\"):
            pattern, ending = pattern.removesuffix(suffix), regex
            break
    parts: list[str] = []
    at, at_start = 0, True
    while at < len(pattern):
        char = pattern[at]
        at += 1
        was_at_start, at_start = at_start, False
        if char == "*" and was_at_start and pattern[at : at + 2] == "*/":
            parts.append("(?:.*/)?")
            at, at_start = at + 2, True
        elif char == "*" and was_at_start and pattern[at:] == "*" and not ending:
            parts.append(".*")
            at += 1
        elif char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[":
            end = _class_end(pattern, at - 1)
            parts.append(_class(pattern[at:end]))
            at = end + 1
        else:
            if char == "\\":
                char = pattern[at]
                at += 1
            parts.append(_quoted(char))
            at_start = char == "/"
    return "".join(parts) + ending


def _class(text: str) -> str:
    negated = text[0] in "!^"
    chars = iter(re.findall(r"\\.|.", text[negated:], re.DOTALL))
    literals = [char[-1] if len(char) > 1 else char for char in chars]
    ranges: list[str] = []
    at = 0
    while at < len(literals):
        if at + 2 < len(literals) and literals[at + 1] == "-":
            low, high = literals[at], literals[at + 2]
            if low <= high:
                ranges.append(f"{_in_class(low)}-{_in_class(high)}")
            else:
                ranges.append(_in_class(low))
            at += 3
        else:
            ranges.append(_in_class(literals[at]))
            at += 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]"


def _in_class(char: str) -> str:
    return f"\\x{{{ord(char):x}}}"


def _quoted(char: str) -> str:
    return char if char.isalnum() or char in "/_" or ord(char) > 0x7F else f"\\x{{{ord(char):x}}}"
