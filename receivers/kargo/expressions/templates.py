"""Texts with expressions in them: the names, label values and index values of the receiver kind `generic`.

Source: Kargo's `pkg/expressions/json_templates.go`. An expression stands in `${{ }}` or `${% %}`. The finished text
must stay a text: what can be read as a number, boolean or other JSON is an error, unless it is in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from receivers.kargo.expressions.budget import MAX_LENGTH, Budget
from receivers.kargo.expressions.evaluator import Evaluator
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.reading import read
from receivers.kargo.expressions.text_forms import go_quoted, to_json, to_yaml
from receivers.kargo.expressions.values import Function, Time, Value
from receivers.kargo.golang import goany, gojson
from receivers.kargo.quoting import quoted

_START: Final = re.compile(r"\$\{([{%])")
_ENDS: Final = {"{": "}}", "%": "%}"}
_BOOLEANS: Final = frozenset(
    ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
)
_DECIMAL: Final = re.compile(
    r"[+-]?(?:[0-9]+(?:_[0-9]+)*+(?:\.(?:[0-9]+(?:_[0-9]+)*+)?)?|\.[0-9]+(?:_[0-9]+)*+)(?:[eE][+-]?[0-9]+(?:_[0-9]+)*+)?"
)
_HEXADECIMAL: Final = re.compile(
    r"[+-]?0[xX](?=[0-9a-fA-F._])[0-9a-fA-F_]*+(?:\.[0-9a-fA-F_]*+)?[pP][+-]?[0-9_]+"
)
_NO_FINITE_NUMBER: Final = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def render(text: str, environment: Mapping[str, Value], budget: Budget, now: Time) -> str:
    """Return a text with the values of its expressions. Raise `InvalidExpression` or `CannotEvaluate`."""
    if not _START.search(text):
        return text
    if len(text) > MAX_LENGTH:
        raise CannotEvaluate(f"the string is longer than {MAX_LENGTH:,} characters")
    evaluator = Evaluator({**environment, **_HELPERS}, budget, now)
    return _kept_text("".join(_parts(text, evaluator, budget)), budget)


def _parts(text: str, evaluator: Evaluator, budget: Budget) -> list[str]:
    parts: list[str] = []
    at = 0
    while match := _START.search(text, at):
        end = text.find(_ENDS[match[1]], match.end())
        if end < 0:
            raise InvalidExpression(f"{match[0]} without its {_ENDS[match[1]]}")
        source = text[match.end() : end]
        parts.append(text[at : match.start()])
        at = end + len(_ENDS[match[1]])
        if not source:
            break  # after an empty expression, Kargo takes the rest as it is
        value = evaluator.evaluate(read(source))
        parts.append(value if isinstance(value, str) else to_json(value, budget))
        budget.text(len(parts[-1]))
    parts.append(text[at:])
    return parts


def _kept_text(result: str, budget: Budget) -> str:
    """Return the finished text. Raise `InvalidExpression` if Kargo takes it for something else than a text."""
    budget.text(len(result))
    bare = result.removesuffix("\n")
    newline = result[len(bare) :]
    if len(bare) > 1 and bare[0] == bare[-1] == '"':
        return bare[1:-1] + newline
    if _is_number(bare) or bare in _BOOLEANS:
        raise InvalidExpression(f"{quoted(bare)} isn't a string for Kargo; quote() makes it one")
    try:
        value = goany.decode(bare.encode())
    except gojson.InvalidJson:
        return result
    except goany.TooDeep:
        value = None
    if isinstance(value, str):
        return value
    raise InvalidExpression("nothing (nil), or JSON, isn't a string for Kargo; quote() makes it one")


def _is_number(text: str) -> bool:
    if _DECIMAL.fullmatch(text):
        return float(text.replace("_", "")) not in (float("inf"), float("-inf"))
    if _HEXADECIMAL.fullmatch(text):
        raise CannotEvaluate("a string that can be read as a hexadecimal number")
    return _NO_FINITE_NUMBER.fullmatch(text) is not None


def _quote(value: Value, budget: Budget) -> str:
    if not isinstance(value, str):
        return _unsafe_quote(value, budget)
    budget.text(10 * len(value))
    return go_quoted(value)


def _unsafe_quote(value: Value, budget: Budget) -> str:
    return f'"{to_json(value, budget)}"'


def _as_json(value: Value, budget: Budget) -> str:
    return f'"{to_json(value, budget, indent="  ")}\n"'


def _as_yaml(value: Value, budget: Budget) -> str:
    return f'"{to_yaml(value, budget)}"'


_FUNCTIONS: Final[Mapping[str, Callable[[Value, Budget], str]]] = {
    "quote": _quote,
    "unsafeQuote": _unsafe_quote,
    "asJSON": _as_json,
    "asYAML": _as_yaml,
}
_HELPERS: Final = {name: Function(name, call) for name, call in _FUNCTIONS.items()}
