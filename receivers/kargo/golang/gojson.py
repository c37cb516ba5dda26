"""JSON as Go's `encoding/json` decodes it into a struct of known fields.

Kargo decodes the bodies of webhooks with that package (Go 1.26). Which bodies are valid, and the values in them, must
be the same here: keys match in any case, duplicates are merged in document order, null changes nothing but what Go can
set to nil, a wrong type for a known field is an error, unknown fields are only checked for syntax, and invalid UTF-8
becomes U+FFFD.

Bodies can be hostile: recursion is no deeper than `MAX_TYPED`, nothing is allocated for unknown fields, and the time is
linear in the length.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from typing import Any, Final, NoReturn, TypeAlias

from receivers.kargo.quoting import quoted

MAX_NESTING: Final = 10_000  # Go's limit
MAX_TYPED: Final = 50  # levels whose fields are known; some types of GitHub contain themselves


class InvalidJson(ValueError):
    """A body that Go cannot decode; the message says what is wrong and where."""


class JsonType(Enum):
    """The type of a known field that is not an object."""

    TEXT = auto()
    """A string or null; any other type is an error."""

    LOOSE = auto()
    """A string or a number (as float); anything else is ignored. For fields that Kargo does not read."""

    INTEGER = auto()
    """A number without fraction and exponent that 64 bits hold."""

    NUMBER = auto()
    """A number (as float)."""

    BOOLEAN = auto()
    """True or false."""

    TIME = auto()
    """A time in RFC 3339, as Go's `time.Time`; kept as text."""

    TIMESTAMP = auto()
    """A time in RFC 3339, or an integer: the type of go-github."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A field that null removes: a pointer in Go."""

    to: Expected


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; null removes it. An element that is null is None if it is a pointer, otherwise the empty value."""

    item: Expected


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with any keys, whose values have one type; it is checked, and not kept."""

    item: Expected


@dataclass(frozen=True, slots=True)
class Untyped:
    """A value of any type. If it is an object, these of its fields are read."""

    fields: Shape


Shape: TypeAlias = "Mapping[str, Expected]"
"""The known fields of an object by name, in lower-case ASCII."""

Expected: TypeAlias = "JsonType | Pointer | ListOf | MapOf | Untyped | Shape"

# What is repeated possessively is also atomic: before 3.11.5, Python may match half of a repetition (gh-106052).
_SPACE: Final = r"[ \t\n\r]*+"
_STRING: Final = r'"[^"\\\x00-\x1f]*+(?:(?>\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+))*+"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_SCALAR: Final = rf"(?:{_STRING}|{_NUMBER}|true|false|null)"

_NAME: Final = re.compile(rf"{_SPACE}({_STRING}){_SPACE}:{_SPACE}")
_VALUE: Final = re.compile(rf"{_SPACE}({_SCALAR}|[\[{{])")
_COMMA_OR_END: Final = re.compile(rf"{_SPACE}([,\]}}])")
_END: Final = {"{": re.compile(rf"{_SPACE}\}}"), "[": re.compile(rf"{_SPACE}\]")}
_SPACES: Final = re.compile(_SPACE)
# In unknown fields, runs of simple members are skipped in one step.
_RUN: Final = {
    "{": re.compile(rf"(?:(?>{_SPACE}{_STRING}{_SPACE}:{_SPACE}{_SCALAR}{_SPACE},))*+"),
    "[": re.compile(rf"(?:(?>{_SPACE}{_SCALAR}{_SPACE},))*+"),
}
_TEXT: Final = re.compile(_STRING)
_TEXTS: Final = re.compile(rf"(?:(?>{_SPACE}{_STRING}{_SPACE},))*+")
_CLOSING: Final = {"{": "}", "[": "]"}
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FOUND: Final = {"": "the end of the body", '"': "an unterminated string or an invalid character in it"}
_TYPE_BY_FIRST: Final = {'"': "a string", "{": "an object", "[": "an array", "t": "true", "f": "false"}


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


EACH_BYTE: Final = "kargoweb-replace-each-byte"
codecs.register_error(EACH_BYTE, _replace_each_byte)


def decode(body: bytes, shape: Shape) -> dict[str, Any]:
    """Return the known fields of `body`, nested as in `shape`. Raise `InvalidJson` if Go cannot decode it.

    Absent fields and null values are omitted.
    """
    return _Reader(body.decode("utf-8", EACH_BYTE)).read_document(shape)


@dataclass(slots=True)
class _Reader:
    """A cursor in the text; every method reads from `position` and advances it."""

    text: str
    position: int = 0

    def read_document(self, shape: Shape) -> dict[str, Any]:
        values: dict[str, dict[str, Any]] = {}
        self.read_value(shape, values, "", "", depth=0)
        self.position = self.end_of_spaces()
        if self.position < len(self.text):
            self.fail("expected the end of the body")
        return values.get("", {})

    def read_value(
        self, expected: Expected | None, into: dict[Any, Any], name: str | int, path: str, depth: int
    ) -> None:
        """Read one value; store it as `into[name]` if `expected` is not None."""
        token = self.take(_VALUE, "a value")
        if token == "null":  # noqa: S105 - a token of JSON
            if isinstance(expected, Pointer | ListOf):
                into.pop(name, None)
            return
        if isinstance(expected, Pointer):
            expected = expected.to
        if token in _CLOSING:
            self.read_container(expected, into, name, path, depth + 1)
        elif isinstance(expected, Untyped):
            pass
        elif isinstance(expected, JsonType):
            if not _READABLE[expected](token):
                self.fail_type(token, path, _EXPECTED[expected])
            if expected is not JsonType.LOOSE or token[0] not in "tf":
                into[name] = _scalar(token)
        elif expected is not None:
            self.fail_type(token, path, "an array" if isinstance(expected, ListOf) else "an object")

    def read_container(
        self, expected: Expected | None, into: dict[Any, Any], name: str | int, path: str, depth: int
    ) -> None:
        """Read an object or an array, after its opening bracket."""
        opening = self.text[self.position - 1]
        if isinstance(expected, Untyped) and opening == "{":
            expected = expected.fields
        if (
            expected is None
            or expected is JsonType.LOOSE
            or isinstance(expected, Untyped)
            or depth > MAX_TYPED
        ):
            self.skip_container(opening, depth)
        elif isinstance(expected, ListOf) and opening == "[":
            self.read_array(expected.item, into.setdefault(name, {}), path, depth)
        elif isinstance(expected, MapOf) and opening == "{":
            self.read_object(expected, {}, path, depth)
        elif isinstance(expected, Mapping) and opening == "{":
            self.read_object(expected, into.setdefault(name, {}), path, depth)
        elif isinstance(expected, JsonType):
            self.fail_type(opening, path, _EXPECTED[expected])
        else:
            self.fail_type(opening, path, "an array" if isinstance(expected, ListOf) else "an object")

    def read_array(self, item: Expected, into: dict[Any, Any], path: str, depth: int) -> None:
        """Read the elements of an array, after its opening bracket, to `into`, by their index.

        As in Go, a second array of the same name is merged with the elements of the first.
        """
        length = 0
        empty: Any = None if isinstance(item, Pointer) else "" if item is JsonType.TEXT else None
        if not self.skips(_END["["]):
            if item is JsonType.TEXT:
                length = self.read_texts(into)
            while True:
                into.setdefault(length, empty if not isinstance(item, Mapping) else {})
                if into[length] is None:
                    del into[length]
                self.read_value(item, into, length, path, depth)
                into.setdefault(length, None)
                length += 1
                if self.take_comma_or("]") == "]":
                    break
        for index in range(length, len(into)):
            del into[index]

    def read_texts(self, into: dict[Any, Any]) -> int:
        """Read the strings of an array that a comma follows, in one step; return how many there are."""
        start = self.position
        self.skips(_TEXTS)
        texts = _TEXT.findall(self.text, start, self.position)
        into.update(enumerate(map(_unquote, texts)))
        return len(texts)

    def read_object(self, shape: Shape | MapOf, into: dict[Any, Any], path: str, depth: int) -> None:
        """Read the members of an object, after its opening brace."""
        if self.skips(_END["{"]):
            return
        while True:
            name = fold(_unquote(self.take(_NAME, "a quoted name and a colon")))
            expected = shape.item if isinstance(shape, MapOf) else shape.get(name)
            where = path if expected is None else f"{path}.{name}" if path else name
            self.read_value(expected, into, name, where, depth)
            if self.take_comma_or("}") == "}":
                return

    def skip_container(self, opening: str, depth: int) -> None:
        """Skip the members of an object or an array, after its opening bracket, at any depth."""
        open_containers = [opening]
        fresh = True
        while open_containers:
            innermost = open_containers[-1]
            if not (fresh and self.skips(_END[innermost])):
                nested = self.skip_members(innermost)
                if nested:
                    open_containers.append(nested)
                    fresh = True
                    if depth + len(open_containers) > MAX_NESTING + 1:
                        raise InvalidJson(f"the body nests deeper than {MAX_NESTING} levels")
                    continue
            else:
                open_containers.pop()
            fresh = False
            while open_containers and self.take_comma_or(_CLOSING[open_containers[-1]]) != ",":
                open_containers.pop()

    def skip_members(self, container: str) -> str:
        """Skip simple members and the next value; return its opening bracket if it is a container, else ""."""
        self.skips(_RUN[container])
        if container == "{":
            self.take(_NAME, "a quoted name and a colon")
        token = self.take(_VALUE, "a value")
        return token if token in _CLOSING else ""

    def skips(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return match is not None

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            self.fail(f"expected {what}")
        self.position = match.end()
        return match[1]

    def take_comma_or(self, closing: str) -> str:
        match = _COMMA_OR_END.match(self.text, self.position)
        if match is None or match[1] not in {",", closing}:
            self.fail(f"expected , or {closing}")
        self.position = match.end()
        return match[1]

    def end_of_spaces(self) -> int:
        match = _SPACES.match(self.text, self.position)
        return match.end() if match else self.position

    def fail(self, what: str) -> NoReturn:
        at = self.end_of_spaces()
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        actual = _FOUND.get(self.text[at : at + 1]) or quoted(self.text[at])
        raise InvalidJson(f"line {line}, column {column}: {what}, found {actual}")

    def fail_type(self, token: str, path: str, expected: str) -> NoReturn:
        actual = _TYPE_BY_FIRST.get(token[0], "a number")
        raise InvalidJson(f"{path or 'the body'} is {actual}, not {expected}")


_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
# Go's `time.Time`: RFC 3339 with seconds, at most 999,999,999 of a second or any fraction, and Z or an offset
_TIME: Final = re.compile(
    r'"\d{4}-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:Z|[+-]([01]\d|2[0-3]):[0-5]\d)"',
    re.ASCII,
)


def _is_text(token: str) -> bool:
    return token[0] == '"'


def _is_number(token: str) -> bool:
    return token[0] not in '"tf' and math.isfinite(float(token))


def _is_integer(token: str) -> bool:
    return _INTEGER.fullmatch(token) is not None and -(2**63) <= int(token) < 2**63


def _is_boolean(token: str) -> bool:
    return token[0] in "tf"


def _is_time(token: str) -> bool:
    if not _TIME.fullmatch(token):
        return False
    try:
        # Python has no year 0, which is a leap year.
        date(int(token[1:5]) or 4, int(token[6:8]), int(token[9:11]))
    except ValueError:
        return False
    return True


def _is_timestamp(token: str) -> bool:
    return _is_integer(token) or _is_time(token)


def _is_any(token: str) -> bool:
    return True


_READABLE: Final[Mapping[JsonType, Callable[[str], bool]]] = {
    JsonType.TEXT: _is_text,
    JsonType.LOOSE: _is_any,
    JsonType.INTEGER: _is_integer,
    JsonType.NUMBER: _is_number,
    JsonType.BOOLEAN: _is_boolean,
    JsonType.TIME: _is_time,
    JsonType.TIMESTAMP: _is_timestamp,
}
_EXPECTED: Final = {
    JsonType.TEXT: "a string",
    JsonType.LOOSE: "any value",
    JsonType.INTEGER: "an integer",
    JsonType.NUMBER: "a number",
    JsonType.BOOLEAN: "true or false",
    JsonType.TIME: "a time such as 2026-01-31T12:00:00Z",
    JsonType.TIMESTAMP: "a time such as 2026-01-31T12:00:00Z",
}


def elements(array: Mapping[int, Any] | None) -> list[Any]:
    """Return the elements of a list that `decode` has read; none if it is absent."""
    return list(array.values()) if array else []


def _scalar(token: str) -> str | float | bool:
    match token[0]:
        case '"':
            return _unquote(token)
        case "t" | "f":
            return token[0] == "t"
        case _:
            return float(token)


def _unquote(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    return LONE_SURROGATE.sub("\ufffd", json.loads(token))


def fold(name: str) -> str:
    """Return the name as Go compares it with ASCII names: `ſ` equals s, and the Kelvin sign equals k."""
    return name.lower() if name.isascii() else name.replace("\u017f", "s").lower()
