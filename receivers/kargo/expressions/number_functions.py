"""The functions of numbers, also of those in lists, and of their bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from receivers.kargo.expressions.arguments import Arguments, FunctionTable
from receivers.kargo.expressions.budget import MAX_DEPTH, Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import Value, described, is_number, less, wrapped


def _abs(arguments: Arguments, budget: Budget) -> float:
    value = _number(arguments[0])
    return wrapped(abs(value)) if isinstance(value, int) else abs(value)


def _number(value: Value) -> int | float:
    if not is_number(value):
        raise InvalidExpression(f"{described(value)} where a number is needed")
    number: int | float = value
    return number


def _rounded(round_: Callable[[float], float]) -> Callable[[Arguments, Budget], float]:
    def function(arguments: Arguments, budget: Budget) -> float:
        value = float(_number(arguments[0]))
        if math.isnan(value) or math.isinf(value) or not value:
            return value
        return math.copysign(float(round_(value)), value)

    return function


def _round(value: float) -> float:
    """Return the nearest whole number; halves are rounded away from zero."""
    whole = math.trunc(value)
    return whole + math.copysign(1, value) if abs(value - whole) >= 0.5 else whole


def _numbers(values: Iterable[Value], budget: Budget, depth: int = 0) -> Iterable[int | float]:
    if depth > MAX_DEPTH:
        raise CannotEvaluate(f"lists that nest deeper than {MAX_DEPTH} levels")
    for value in values:
        budget.step()
        if isinstance(value, list):
            yield from _numbers(value, budget, depth + 1)
        else:
            yield _number(value)


def _max(arguments: Arguments, budget: Budget) -> Value:
    if len(arguments) == 1 and not isinstance(arguments[0], list):
        return arguments[0]  # whatever it is
    best: int | float | None = None
    for number in _numbers(arguments, budget):
        if best is None or less(best, number, budget):
            best = number
    return best


def _min(arguments: Arguments, budget: Budget) -> Value:
    if len(arguments) == 1 and not isinstance(arguments[0], list):
        return arguments[0]  # whatever it is
    best: int | float | None = None
    for number in _numbers(arguments, budget):
        if best is None or less(number, best, budget):
            best = number
    return best


def _mean(arguments: Arguments, budget: Budget) -> float:
    numbers = [float(number) for number in _numbers(arguments, budget)]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _median(arguments: Arguments, budget: Budget) -> float:
    numbers = sorted(float(number) for number in _numbers(arguments, budget))
    budget.step(len(numbers))
    if not numbers:
        return 0.0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _bits(operate: Callable[[int, int], int]) -> Callable[[Arguments, Budget], int]:
    def function(arguments: Arguments, budget: Budget) -> int:
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in arguments):
            raise InvalidExpression("bitwise functions take whole numbers")
        return wrapped(operate(arguments[0], arguments[-1]))

    return function


def _shift(count: int) -> int:
    if count < 0:
        raise InvalidExpression("bits are shifted by a negative number")
    return min(count, 64)


NUMBER_FUNCTIONS: Final[FunctionTable] = {
    "abs": _abs,
    "bitand": _bits(lambda left, right: left & right),
    "bitnand": _bits(lambda left, right: left & ~right),
    "bitnot": _bits(lambda left, right: ~left),
    "bitor": _bits(lambda left, right: left | right),
    "bitshl": _bits(lambda left, right: left << _shift(right)),
    "bitshr": _bits(lambda left, right: left >> _shift(right)),
    "bitushr": _bits(lambda left, right: (left % (1 << 64)) >> _shift(right)),
    "bitxor": _bits(lambda left, right: left ^ right),
    "ceil": _rounded(math.ceil),
    "floor": _rounded(math.floor),
    "max": _max,
    "mean": _mean,
    "median": _median,
    "min": _min,
    "round": _rounded(_round),
}
