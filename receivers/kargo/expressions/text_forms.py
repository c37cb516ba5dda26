"""Values as text: JSON as Go's `encoding/json` writes it, `%v` and `%q` of Go's `fmt`, and simple YAML."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Final

from receivers.kargo.expressions.budget import MAX_DEPTH, Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import (
    Duration,
    Function,
    Grouped,
    NilList,
    Value,
    ordered,
)

_JSON_ESCAPES: Final = {
    "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029",
}  # fmt: skip
_ESCAPED: Final = re.compile("[<>&\u2028\u2029]")
_QUOTE_ESCAPES: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_LARGE: Final = 1e21
_SMALL: Final = 1e-6
_MIN_EXPONENT, _MAX_EXPONENT = -4, 6  # of numbers that `%v` writes without one
_PLAIN_YAML: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_YAML_WORDS: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))


def json_text(value: str) -> str:
    """Return a text as a JSON string, as Go writes it: HTML's special characters are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: _JSON_ESCAPES[match[0]], text)


def json_number(number: float) -> str:
    """Return a finite float as Go writes it in JSON. Raise `InvalidExpression` for others."""
    if math.isnan(number) or math.isinf(number):
        raise InvalidExpression("JSON has no infinite numbers")
    if number and not _SMALL <= abs(number) < _LARGE:
        mantissa, exponent = _scientific(number)
        return f"{mantissa}e{exponent:+d}" if exponent > 0 else f"{mantissa}e{exponent}"
    return _positional(number)


def to_json(value: Value, budget: Budget, *, indent: str = "") -> str:
    """Return a value as JSON, on several lines if `indent` is given. Raise `EvaluationFailed`."""
    parts: list[str] = []
    for part in _json(value, budget, indent, "\n" if indent else "", 0):
        budget.text(len(part))
        parts.append(part)
    return "".join(parts)


def _json(value: Value, budget: Budget, indent: str, line: str, depth: int) -> Iterator[str]:
    budget.step()
    if depth > MAX_DEPTH:
        raise CannotEvaluate(f"the values nest deeper than {MAX_DEPTH} levels")
    inner = line + indent
    match value:
        case NilList():
            yield "null"
        case list():
            yield "["
            for position, item in enumerate(ordered(value)):
                yield ("," if position else "") + inner
                yield from _json(item, budget, indent, inner, depth + 1)
            yield (line if value else "") + "]"
        case dict() if not isinstance(value, Grouped):
            yield "{"
            for position, key in enumerate(sorted(value)):
                yield ("," if position else "") + inner + json_text(key) + (": " if indent else ":")
                yield from _json(value[key], budget, indent, inner, depth + 1)
            yield (line if value else "") + "}"
        case _:
            yield _json_scalar(value, budget)


def _json_scalar(value: Value, budget: Budget) -> str:
    match value:
        case None | bool() | int():
            return json.dumps(value)
        case float():
            return json_number(value)
        case str():
            budget.read(len(value))
            return json_text(value)
        case Duration():
            return str(value.nanoseconds)
        case Function():
            raise InvalidExpression("a function isn't JSON")
    raise CannotEvaluate("this value isn't converted to JSON")


def formatted(value: Value, budget: Budget) -> str:
    """Return what the function `string` returns: `%v` in Go."""
    parts: list[str] = []
    for part in _formatted(value, budget, 0):
        budget.text(len(part))
        parts.append(part)
    return "".join(parts)


def _formatted(value: Value, budget: Budget, depth: int) -> Iterator[str]:
    budget.step()
    if depth > MAX_DEPTH:
        raise CannotEvaluate(f"the values nest deeper than {MAX_DEPTH} levels")
    match value:
        case list():
            yield "["
            for position, item in enumerate(ordered(value)):
                yield " " if position else ""
                yield from _formatted(item, budget, depth + 1)
            yield "]"
        case dict() if not isinstance(value, Grouped):
            yield "map["
            for position, key in enumerate(sorted(value)):
                yield (" " if position else "") + key + ":"
                yield from _formatted(value[key], budget, depth + 1)
            yield "]"
        case _:
            yield _formatted_scalar(value)


def _formatted_scalar(value: Value) -> str:
    match value:
        case None:
            return "<nil>"
        case bool() | int():
            return json.dumps(value)
        case float():
            return _shortest(value)
        case str():
            return value
    raise CannotEvaluate("this value isn't converted to a string")


def _shortest(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if number:
        mantissa, exponent = _scientific(number)
        if not _MIN_EXPONENT <= exponent < _MAX_EXPONENT:
            return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return _positional(number)


def _scientific(number: float) -> tuple[str, int]:
    """Return the shortest mantissa that reads back as the number, and the exponent."""
    sign = "-" if number < 0 else ""
    digits, exponent = _digits(abs(number))
    return sign + digits[0] + ("." + digits[1:] if digits[1:] else ""), exponent


def _digits(number: float) -> tuple[str, int]:
    mantissa, _, power = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    exponent = len(whole) - 1 - leading + int(power or 0)
    return digits.rstrip("0") or "0", exponent


def _positional(number: float) -> str:
    """Return a float without an exponent."""
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    if not number:
        return sign + "0"
    digits, exponent = _digits(abs(number))
    if exponent < 0:
        return sign + "0." + "0" * (-exponent - 1) + digits
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return sign + whole + ("." + fraction if fraction else "")


def go_quoted(text: str) -> str:
    """Return a text as `%q` in Go quotes it."""
    return '"' + "".join(_QUOTE_ESCAPES.get(char) or _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_yaml(value: Value, budget: Budget) -> str:
    """Return a simple value as YAML. Raise `CannotEvaluate` for the others."""
    budget.step()
    match value:
        case list() if value and all(not isinstance(item, list | dict) for item in ordered(value)):
            lines = [f"- {_yaml_scalar(item)}\n" for item in value]
        case dict() if value and not isinstance(value, Grouped):
            lines = [f"{_yaml_scalar(key)}: {_yaml_scalar(value[key])}\n" for key in sorted(value)]
        case _:
            lines = [_yaml_scalar(value) + "\n"]
    budget.text(sum(map(len, lines)))
    return "".join(lines)


def _yaml_scalar(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() if _PLAIN_YAML.fullmatch(value) and value.lower() not in _YAML_WORDS:
            return value
    raise CannotEvaluate("only lists and maps of plain words and whole numbers are converted to YAML")
