"""JSON as Go's `encoding/json` decodes it into `any`, and Go's messages about documents that are no JSON.

Kargo sends these messages to the sender of a request. The documents can be hostile: valid ones are decoded by Python's
own decoder, the others are only checked, without recursion, in time linear in their length.
"""

from __future__ import annotations

import json
import math
import re
from itertools import islice, takewhile
from typing import Any, Final, NoReturn

from receivers.kargo.golang import gojson

_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")

_SPACE: Final = rb"[ \t\n\r]*+"
_STRING: Final = rb'"[^"\\\x00-\x1f]*+(?:(?>\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+))*+"'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_SCALAR: Final = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"(?=[ \t\n\r,\]}]|\Z)|true|false|null)"
_SPACES: Final = re.compile(_SPACE)
_COMPLETE: Final = re.compile(_SCALAR)
_KEY: Final = re.compile(_STRING)


def _nested(value: bytes, levels: int) -> bytes:
    """Return the pattern of values, and of containers of values that nest at most so many levels deep."""
    if not levels:
        return value
    inner = _SPACE + _nested(value, levels - 1) + _SPACE
    member = _SPACE + _STRING + _SPACE + rb":" + inner
    items = rb"(?:" + inner + rb"(?:,(?!" + _SPACE + rb"\])|(?=\])))*+" + _SPACE
    members = rb"(?:" + member + rb"(?:,(?!" + _SPACE + rb"\})|(?=\})))*+" + _SPACE
    return rb"(?>" + value + rb"|\[" + items + rb"\]|\{" + members + rb"\})"


# Runs of members that nest a few levels deep, and of brackets, are skipped in one step.
_SIMPLE: Final = _nested(_SCALAR, 4)
_RUN: Final = {
    ord("{"): re.compile(
        rb"(?:(?>" + _SPACE + _STRING + _SPACE + rb":" + _SPACE + _SIMPLE + _SPACE + rb",))*+"
    ),
    ord("["): re.compile(rb"(?:(?>" + _SPACE + _SIMPLE + _SPACE + rb",))*+"),
}
_OPENING: Final = re.compile(rb"(?:\[" + _SPACE + rb"(?=\[))++")
_CLOSING: Final = re.compile(rb"(?:" + _SPACE + rb"\])++")
_CONTROLS: Final = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 92: r"\\"}
_LITERALS: Final = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_HEX: Final = b"0123456789abcdefABCDEF"
_DIGITS: Final = b"0123456789"
_END: Final = "unexpected end of JSON input"


class TooDeep(ValueError):
    """A document that Go decodes, but that nests too deeply for Python."""


def decode(document: bytes) -> Any:
    """Return what a document means: numbers are floats, and of repeated keys the last counts.

    Raise `gojson.InvalidJson` with Go's message, or `TooDeep`.
    """
    text = document.decode("utf-8", gojson.EACH_BYTE)
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_constant)
    except _OutOfRange as error:
        check(document)
        raise gojson.InvalidJson(
            f"json: cannot unmarshal number {error} into Go value of type float64"
        ) from None
    except (ValueError, RecursionError):
        check(document)
        raise TooDeep from None
    if not _SURROGATE_ESCAPE.search(text):
        return value
    try:
        return _without_surrogates(value)
    except RecursionError:
        raise TooDeep from None


class _OutOfRange(Exception):
    """A number that is too large for a float."""


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _OutOfRange(digits)
    return number


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def _without_surrogates(value: Any) -> Any:
    """Replace lone surrogates, as Go does. The recursion is no deeper than that of Python's decoder."""
    match value:
        case str():
            return gojson.LONE_SURROGATE.sub("\ufffd", value)
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def check(document: bytes) -> None:
    """Raise `gojson.InvalidJson` with Go's message if a document is no JSON."""
    _Scanner(document).scan()


class _Scanner:
    def __init__(self, document: bytes) -> None:
        self._document = document
        self._at = 0

    def scan(self) -> None:
        open_containers: list[int] = []
        self._value(open_containers)
        while open_containers:
            self._member(open_containers)
        self._blanks()
        if self._at < len(self._document):
            self._fail("after top-level value")

    def _blanks(self) -> None:
        spaces = _SPACES.match(self._document, self._at)
        self._at = spaces.end() if spaces else self._at

    def _byte(self) -> int:
        if self._at >= len(self._document):
            raise gojson.InvalidJson(_END)
        return self._document[self._at]

    def _fail(self, where: str) -> NoReturn:
        raise gojson.InvalidJson(f"invalid character {_quoted(self._peek())} {where}")

    def _value(self, open_containers: list[int]) -> None:
        """Read a value, or open its container and read its first member's start."""
        self._blanks()
        first = self._byte()
        if first in b"{[":
            if len(open_containers) == gojson.MAX_NESTING:
                self._fail("exceeded max depth")
            self._at += 1
            open_containers.append(first)
            self._blanks()
            opening = _OPENING.match(self._document, self._at) if first == ord("[") else None
            if opening:
                count = min(opening[0].count(b"["), gojson.MAX_NESTING - len(open_containers))
                open_containers += [first] * count
                self._skip(b"[", count)
                return
            if self._byte() == (ord("}") if first == ord("{") else ord("]")):
                self._at += 1
                open_containers.pop()
                self._after(open_containers)
            return
        complete = _COMPLETE.match(self._document, self._at)
        if complete:
            self._at = complete.end()
        elif first == ord('"'):
            self._bad_string()
        elif first in b"-0123456789":
            self._odd_number()
        elif first in _LITERALS:
            self._bad_literal(_LITERALS[first])
        else:
            self._fail("looking for beginning of value")
        self._after(open_containers)

    def _member(self, open_containers: list[int]) -> None:
        """Read the next member of the innermost container, whose bracket or comma was read."""
        container = open_containers[-1]
        run = _RUN[container].match(self._document, self._at)
        self._at = run.end() if run else self._at
        if container == ord("{"):
            self._blanks()
            if self._byte() != ord('"'):
                self._fail("looking for beginning of object key string")
            key = _KEY.match(self._document, self._at)
            if key is None:
                self._bad_string()
            self._at = key.end()
            self._blanks()
            if self._byte() != ord(":"):
                self._fail("after object key")
            self._at += 1
        self._value(open_containers)

    def _after(self, open_containers: list[int]) -> None:
        """Read what follows a value: the ends of containers, up to a comma."""
        while open_containers:
            self._blanks()
            is_object = open_containers[-1] == ord("{")
            byte = self._byte()
            if byte == ord(","):
                self._at += 1
                return
            if byte != (ord("}") if is_object else ord("]")):
                self._fail("after object key:value pair" if is_object else "after array element")
            self._at += 1
            open_containers.pop()
            closing = _CLOSING.match(self._document, self._at)
            if closing:
                innermost = islice(reversed(open_containers), closing[0].count(b"]"))
                count = sum(1 for _ in takewhile(lambda each: each == ord("["), innermost))
                del open_containers[len(open_containers) - count :]
                self._skip(b"]", count)

    def _skip(self, bracket: bytes, count: int) -> None:
        """Move behind the next brackets; their number is at most that of the levels of nesting."""
        for _ in range(count):
            self._at = self._document.index(bracket, self._at) + 1

    def _bad_string(self) -> NoReturn:
        good = re.compile(_STRING[:-1]).match(self._document, self._at)
        self._at = good.end() if good else self._at
        if self._byte() != ord("\\"):
            self._fail("in string literal")
        self._at += 1
        if self._peek() != ord("u"):
            self._fail("in string escape code")
        self._at += 1
        while self._peek() in _HEX:
            self._at += 1
        self._fail("in \\u hexadecimal character escape")

    def _odd_number(self) -> None:
        """Read a number that is followed by something odd; what follows is judged by the caller."""
        if self._byte() == ord("-"):
            self._at += 1
            if self._peek() not in _DIGITS:
                self._fail("in numeric literal")
        if self._peek() == ord("0"):
            self._at += 1
        else:
            self._digits()
        if self._peek() == ord("."):
            self._at += 1
            if self._peek() not in _DIGITS:
                self._fail("after decimal point in numeric literal")
            self._digits()
        if self._peek() in b"eE":
            self._at += 1
            if self._peek() in b"+-":
                self._at += 1
            if self._peek() not in _DIGITS:
                self._fail("in exponent of numeric literal")
            self._digits()

    def _peek(self) -> int:
        """Return the next byte. Go ends a document with a blank, which is wrong inside of a token."""
        return self._document[self._at] if self._at < len(self._document) else ord(" ")

    def _digits(self) -> None:
        while self._at < len(self._document) and self._document[self._at] in _DIGITS:
            self._at += 1

    def _bad_literal(self, literal: bytes) -> None:
        for expected in literal:
            if self._peek() != expected:
                self._fail(f"in literal {literal.decode()} (expecting '{chr(expected)}')")
            self._at += 1


def _quoted(byte: int) -> str:
    """Return a byte as Go quotes the character with its number."""
    if byte == ord("'"):
        return r"'\''"
    char = chr(byte)
    if byte in _CONTROLS:
        return f"'{_CONTROLS[byte]}'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    return f"'{char}'" if char.isprintable() else f"'\\u{byte:04x}'"
