"""The functions of texts. Positions in a text are in bytes for `indexOf` and slices, and in characters for `len`."""

from __future__ import annotations

import base64
import re
from typing import Final

from receivers.kargo.expressions.arguments import Arguments, FunctionTable, as_list, integer, text
from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import NilList, Numbers, Typed, ordered

_GO_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_MAX_REPEATED: Final = 100_000  # characters; expr-lang has such a limit, too


def upper(value: str) -> str:
    """Return the text in upper case, character by character as Go."""
    return value.upper() if value.isascii() else "".join(_single(char, char.upper()) for char in value)


def lower(value: str) -> str:
    """Return the text in lower case, character by character as Go."""
    if value.isascii():
        return value.lower()
    return "".join("i" if char == "\u0130" else _single(char, char.lower()) for char in value)


def _single(char: str, mapped: str) -> str:
    return mapped if len(mapped) == 1 else char


def cut(value: str, start: int, end: int) -> str:
    """Return the bytes of a text from `start` to `end`. Raise `CannotEvaluate` if they aren't valid UTF-8."""
    if value.isascii():
        return value[start:end]
    try:
        return value.encode()[start:end].decode()
    except UnicodeDecodeError as error:
        raise CannotEvaluate("a slice through the middle of a character") from error


def length_in_bytes(value: str) -> int:
    """Return the length of a text in UTF-8."""
    return len(value) if value.isascii() else len(value.encode())


def _trim(arguments: Arguments, budget: Budget) -> str:
    value, characters = text(arguments[0]), text(arguments[1]) if arguments[1:] else _GO_SPACE
    budget.text(len(value) + len(characters))
    return value.strip(characters) if characters else value


def _trim_prefix(arguments: Arguments, budget: Budget) -> str:
    value, prefix = text(arguments[0]), text(arguments[1]) if arguments[1:] else " "
    budget.text(len(value))
    return value.removeprefix(prefix)


def _trim_suffix(arguments: Arguments, budget: Budget) -> str:
    value, suffix = text(arguments[0]), text(arguments[1]) if arguments[1:] else " "
    budget.text(len(value))
    return value.removesuffix(suffix)


def _upper(arguments: Arguments, budget: Budget) -> str:
    value = text(arguments[0])
    budget.text(len(value) if value.isascii() else 64 * len(value))
    return upper(value)


def _lower(arguments: Arguments, budget: Budget) -> str:
    value = text(arguments[0])
    budget.text(len(value) if value.isascii() else 64 * len(value))
    return lower(value)


def _split(arguments: Arguments, budget: Budget, *, after: bool = False) -> list[str]:
    value, separator = text(arguments[0]), text(arguments[1])
    limit = integer(arguments[2]) if arguments[2:] else -1
    if limit == 0:
        return NilList()
    pieces = len(value) if not separator else value.count(separator) + 1
    budget.items(pieces if limit < 0 else min(pieces, limit))
    budget.text(len(value))
    if separator:
        parts = value.split(separator, limit - 1 if limit > 0 else -1)
    elif limit < 0 or len(value) <= limit:
        parts = list(value)
    else:
        parts = [*value[: limit - 1], value[limit - 1 :]]
    if after and separator:
        parts = [part + separator for part in parts[:-1]] + parts[-1:]
    return Typed(parts)


def _split_after(arguments: Arguments, budget: Budget) -> list[str]:
    return _split(arguments, budget, after=True)


def _replace(arguments: Arguments, budget: Budget) -> str:
    value, old, new = map(text, arguments[:3])
    limit = integer(arguments[3]) if arguments[3:] else -1
    budget.read(len(value))
    count = value.count(old) if old else len(value) + 1
    budget.text(len(value) + len(new) * (count if limit < 0 else min(limit, count)))
    return value.replace(old, new, max(limit, -1))


def _repeat(arguments: Arguments, budget: Budget) -> str:
    value, count = text(arguments[0]), integer(arguments[1])
    if count < 0:
        raise InvalidExpression("a string cannot be repeated a negative number of times")
    if len(value) * count > _MAX_REPEATED or count > _MAX_REPEATED:
        raise CannotEvaluate(f"a string that is repeated to more than {_MAX_REPEATED:,} characters")
    budget.text(len(value) * count)
    return value * count


def _index_of(arguments: Arguments, budget: Budget) -> int:
    value, part = map(text, arguments)
    budget.text(length_in_bytes(value))
    return value.encode().find(part.encode())


def _last_index_of(arguments: Arguments, budget: Budget) -> int:
    value, part = map(text, arguments)
    budget.text(length_in_bytes(value))
    return value.encode().rfind(part.encode())


def _has_prefix(arguments: Arguments, budget: Budget) -> bool:
    value, part = map(text, arguments)
    budget.read(len(part))
    return value.startswith(part)


def _has_suffix(arguments: Arguments, budget: Budget) -> bool:
    value, part = map(text, arguments)
    budget.read(len(part))
    return value.endswith(part)


def _join(arguments: Arguments, budget: Budget) -> str:
    if isinstance(arguments[0], Numbers):
        raise InvalidExpression("numbers are not joined")
    parts = [text(part) for part in ordered(as_list(arguments[0]))]
    separator = text(arguments[1]) if arguments[1:] else ""
    budget.step(len(parts))
    budget.text(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _to_base64(arguments: Arguments, budget: Budget) -> str:
    value = text(arguments[0])
    budget.text(4 * length_in_bytes(value))
    return base64.b64encode(value.encode()).decode()


def _from_base64(arguments: Arguments, budget: Budget) -> str:
    value = text(arguments[0]).replace("\n", "").replace("\r", "")
    budget.text(len(value))
    if not _BASE64.fullmatch(value):
        raise InvalidExpression("a string that isn't base64")
    try:
        return base64.b64decode(value).decode()
    except UnicodeDecodeError as error:
        raise CannotEvaluate("base64 of something other than a string") from error


TEXT_FUNCTIONS: Final[FunctionTable] = {
    "fromBase64": _from_base64,
    "hasPrefix": _has_prefix,
    "hasSuffix": _has_suffix,
    "indexOf": _index_of,
    "join": _join,
    "lastIndexOf": _last_index_of,
    "lower": _lower,
    "repeat": _repeat,
    "replace": _replace,
    "split": _split,
    "splitAfter": _split_after,
    "toBase64": _to_base64,
    "trim": _trim,
    "trimPrefix": _trim_prefix,
    "trimSuffix": _trim_suffix,
    "upper": _upper,
}
