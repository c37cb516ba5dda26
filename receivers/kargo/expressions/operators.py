"""The operators that take two values: comparisons, arithmetic, and those on texts."""

from __future__ import annotations

import math
import operator as operator_functions
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from receivers.kargo.expressions.arguments import text as as_text
from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import (
    Duration,
    Time,
    Value,
    described,
    equal,
    is_number,
    less,
    quotient,
    wrapped,
)
from receivers.kargo.golang.goregexp import InvalidRegex, RegexTooComplex, compile_regex, regex_facts

TEXT_OPERATORS: Final = frozenset({"contains", "startsWith", "endsWith", "matches"})


def _at_most(left: Value, right: Value, budget: Budget) -> bool:
    if is_number(left) and is_number(right) and (math.isnan(left) or math.isnan(right)):
        return False
    return not less(right, left, budget)


COMPARISONS: Final[Mapping[str, Callable[[Value, Value, Budget], bool]]] = {
    "==": equal,
    "!=": lambda left, right, budget: not equal(left, right, budget),
    "<": less,
    ">": lambda left, right, budget: less(right, left, budget),
    "<=": _at_most,
    ">=": lambda left, right, budget: _at_most(right, left, budget),
}


def text_operation(operator: str, left: Value, right: Value, budget: Budget) -> bool:
    """Return the result of one of `TEXT_OPERATORS`; false if a value is nil. Raise `EvaluationFailed`."""
    if left is None or right is None:
        return False
    text, part = as_text(left), as_text(right)
    budget.read(len(text) + len(part))
    if operator == "matches":
        return _matches(text, part, budget)
    if operator == "contains":
        return part in text
    return text.startswith(part) if operator == "startsWith" else text.endswith(part)


def _matches(text: str, expression: str, budget: Budget) -> bool:
    facts = regex_facts(expression)
    budget.regex(facts.size, len(text))
    try:
        return compile_regex(expression).search(text) is not None
    except InvalidRegex as error:
        raise InvalidExpression(f"the regular expression is invalid: {error}") from error
    except RegexTooComplex as error:
        raise CannotEvaluate("the regular expression is too complex") from error


def arithmetic(operator: str, left: Value, right: Value, budget: Budget) -> Value:
    """Return the result of an operator on numbers, texts, times or durations. Raise `EvaluationFailed`."""
    if is_number(left) and is_number(right):
        return _calculated(operator, left, right)
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        budget.text(len(left) + len(right))
        return left + right
    return _calculated_times(operator, left, right)


def _calculated(operator: str, left: int | float, right: int | float) -> int | float:
    if operator == "/":
        return quotient(float(left), float(right))
    if operator == "**":
        return _power(float(left), float(right))
    if isinstance(left, int) and isinstance(right, int):
        return wrapped(_INTEGERS[operator](left, right))
    if operator == "%":
        raise InvalidExpression("% is only defined for whole numbers")
    return _FLOATS[operator](float(left), float(right))


def _calculated_times(operator: str, left: Value, right: Value) -> Value:
    if operator == "+" and isinstance(left, Duration) and isinstance(right, Time):
        left, right = right, left
    sign = {"+": 1, "-": -1}.get(operator, 0)
    match left, right:
        case (Time(), Duration()) | (Duration(), Duration()) if sign:
            total = wrapped(left.nanoseconds + sign * right.nanoseconds)
            return replace(left, nanoseconds=total)
        case Time(), Time() if operator == "-":
            return Duration(wrapped(left.nanoseconds - right.nanoseconds))
        case (Duration(), _) | (_, Duration()) if operator == "*":
            raise CannotEvaluate("a multiple of a duration")
    raise InvalidExpression(f"{operator} is not defined for {described(left)} and {described(right)}")


def _remainder(left: int, right: int) -> int:
    if not right:
        raise InvalidExpression("division by zero")
    return (-1 if left < 0 else 1) * (abs(left) % abs(right))


_INTEGERS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": operator_functions.add, "-": operator_functions.sub, "*": operator_functions.mul, "%": _remainder,
}  # fmt: skip
_FLOATS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator_functions.add, "-": operator_functions.sub, "*": operator_functions.mul,
}  # fmt: skip


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError) as error:
        raise CannotEvaluate("a power that isn't a finite number") from error
