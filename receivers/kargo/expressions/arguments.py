"""The arguments of functions: what they are converted to, and the errors of those of a wrong type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import Value, described, is_number

MIN_INT, MAX_INT = -(1 << 63), (1 << 63) - 1
Arguments = list[Any]

FunctionTable = Mapping[str, Callable[[Arguments, Budget], Value]]
"""Functions by their names in expr-lang. The number of arguments is checked before the call."""


def text(value: Value) -> str:
    """Return a text. Raise `InvalidExpression` for other values."""
    if isinstance(value, str):
        return value
    raise InvalidExpression(f"{described(value)} where a string is needed")


def as_list(value: Value) -> list[Value]:
    """Return a list. Raise `InvalidExpression` for other values, and `CannotEvaluate` for a text, a list of bytes."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        raise CannotEvaluate("the bytes of strings are not evaluated")
    raise InvalidExpression(f"{described(value)} where a list is needed")


def integer(value: Value) -> int:
    """Return a whole number; decimals are cut off. Raise `EvaluationFailed` for other values."""
    if not is_number(value):
        raise InvalidExpression(f"{described(value)} where a whole number is needed")
    if isinstance(value, int):
        return value
    if not MIN_INT <= value <= MAX_INT or math.isnan(value):
        raise CannotEvaluate("a number that isn't a 64-bit integer")
    return int(value)
