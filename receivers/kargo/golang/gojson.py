"""JSON as Go's `encoding/json` decodes it into a struct of known fields.

Kargo decodes Docker Hub's bodies with that package (Go 1.26). Which bodies are valid, and the values in them, must be
the same here: keys match in any case, duplicates are merged in document order, null changes nothing, a wrong type for a
known field is an error, unknown fields are only checked for syntax, and invalid UTF-8 becomes U+FFFD.

Bodies can be hostile: recursion is no deeper than the known fields, nothing is allocated for unknown fields, and the
time is linear in the length.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, NoReturn, TypeAlias

from receivers.kargo.quoting import quoted

MAX_NESTING: Final = 10_000  # Go's limit


class InvalidJson(ValueError):
    """A body that Go cannot decode; the message says what is wrong and where."""


class JsonType(Enum):
    """The type of a known field that is not an object."""

    TEXT = auto()
    """A string or null; any other type is an error."""

    LOOSE = auto()
    """A string or a number (as float); anything else is ignored. For fields that Kargo does not read."""


Shape: TypeAlias = "Mapping[str, JsonType | Shape]"
"""The known fields of an object by name, in lower-case ASCII."""

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
_CLOSING: Final = {"{": "}", "[": "]"}
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FOUND: Final = {"": "the end of the body", '"': "an unterminated string or an invalid character in it"}
_TYPE_BY_FIRST: Final = {'"': "a string", "{": "an object", "[": "an array", "t": "true", "f": "false"}


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd" * (error.end - error.start), error.end


_EACH_BYTE: Final = "kargoweb-replace-each-byte"
codecs.register_error(_EACH_BYTE, _replace_each_byte)


def decode(body: bytes, shape: Shape) -> dict[str, Any]:
    """Return the known fields of `body`, nested as in `shape`. Raise `InvalidJson` if Go cannot decode it.

    Absent fields and null values are omitted.
    """
    return _Reader(body.decode("utf-8", _EACH_BYTE)).read_document(shape)


@dataclass(slots=True)
class _Reader:
    """A cursor in the text; every method reads from `position` and advances it."""

    text: str
    position: int = 0

    def read_document(self, shape: Shape) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        self.read_value(shape, found, "", "", depth=0)
        self.position = self.end_of_spaces()
        if self.position < len(self.text):
            self.fail("expected the end of the body")
        return found.get("", {})

    def read_value(
        self, expected: Shape | JsonType | None, into: dict[str, Any], name: str, path: str, depth: int
    ) -> None:
        """Read one value; store it as `into[name]` if `expected` is not None."""
        token = self.take(_VALUE, "a value")
        if token == "null":  # noqa: S105
            return
        if isinstance(expected, Mapping):
            if token != "{":  # noqa: S105
                self.fail_type(token, path, "an object")
            self.read_object(expected, into.setdefault(name, {}), path, depth + 1)
        elif expected is JsonType.TEXT:
            if token[0] != '"':
                self.fail_type(token, path, "a string")
            into[name] = _unquote(token)
        elif token in _CLOSING:
            self.skip_container(token, depth + 1)
        elif expected is JsonType.LOOSE and token[0] not in "tf":
            into[name] = _unquote(token) if token[0] == '"' else float(token)

    def read_object(self, shape: Shape, into: dict[str, Any], path: str, depth: int) -> None:
        """Read the members of an object, after its opening brace."""
        if self.skips(_END["{"]):
            return
        while True:
            name = fold(_unquote(self.take(_NAME, "a quoted name and a colon")))
            self.read_value(shape.get(name), into, name, f"{path}.{name}" if path else name, depth)
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
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found is not None

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self.text, self.position)
        if found is None:
            self.fail(f"expected {what}")
        self.position = found.end()
        return found[1]

    def take_comma_or(self, closing: str) -> str:
        found = _COMMA_OR_END.match(self.text, self.position)
        if found is None or found[1] not in {",", closing}:
            self.fail(f"expected , or {closing}")
        self.position = found.end()
        return found[1]

    def end_of_spaces(self) -> int:
        found = _SPACES.match(self.text, self.position)
        return found.end() if found else self.position

    def fail(self, what: str) -> NoReturn:
        at = self.end_of_spaces()
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        found = _FOUND.get(self.text[at : at + 1]) or quoted(self.text[at])
        raise InvalidJson(f"line {line}, column {column}: {what}, found {found}")

    def fail_type(self, token: str, path: str, expected: str) -> NoReturn:
        found = _TYPE_BY_FIRST.get(token[0], "a number")
        raise InvalidJson(f"{path or 'the body'} is {found}, not {expected}")


def _unquote(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    return _LONE_SURROGATE.sub("\ufffd", json.loads(token))


def fold(name: str) -> str:
    """Return the name as Go compares it with ASCII names: `ſ` equals s, and the Kelvin sign equals k."""
    return name.lower() if name.isascii() else name.replace("\u017f", "s").lower()
