"""Values in expressions, with the meaning that they have in Go.

A value is None (Go's nil), a bool, an int of 64 bits, a float, a str, a list, a dict with str as keys, or one of the
classes below. Bytes of texts, and types that only Go has, are not represented: what would yield them is not evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from receivers.kargo.expressions.budget import MAX_DEPTH, Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression

Value: TypeAlias = Any


class Unordered(list[Value]):
    """The keys or values of a map, which Go returns in random order."""


class Typed(list[Value]):
    """A list whose elements have one type in Go, which only an exact comparison inside a map tells."""


class Numbers(Typed):
    """A range of whole numbers."""


class NilList(Typed):
    """A list in Go that is nil, but of a known type: the values of a header that was not sent."""


class Grouped(dict[Value, list[Value]]):
    """A map with any keys, from `groupBy`."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the environment, with exactly one parameter."""

    name: str
    call: Callable[[Value, Budget], Value]


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A time span."""

    nanoseconds: int


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """A point in time, in nanoseconds since 1970, and the offset of its zone, which `==` ignores here."""

    nanoseconds: int
    offset: int = 0


class Unreadable:
    """A value that exists, but is nested too deeply to be used in expressions."""


_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "bool"),  # before int, of which it is a subclass
    (int, "int"),
    (float, "float"),
    (str, "string"),
    (list, "array"),
    (dict, "map"),
    (Function, "func"),
    (Time, "time.Time"),
    (Duration, "time.Duration"),
)


def kind(value: Value) -> str:
    """Return the name of a type, as the function `type` does. Raise `CannotEvaluate` for `Unreadable`."""
    if value is None:
        return "nil"
    for type_, name in _KINDS:
        if isinstance(value, type_):
            return name
    raise CannotEvaluate("the body nests too deeply to be used in expressions")


def is_number(value: Value) -> bool:
    """Return whether a value is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def wrapped(number: int) -> int:
    """Return the number as 64 bits hold it: what does not fit wraps around."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def quotient(left: float, right: float) -> float:
    """Return `left / right` as IEEE 754 defines it for a divisor of zero."""
    if right:
        return left / right
    if not left or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def equal(left: Value, right: Value, budget: Budget, depth: int = 0) -> bool:
    """Return whether `==` holds: numbers of both types are compared by value, except inside of maps."""
    budget.step()
    _check_depth(depth)
    if (isinstance(left, NilList) and right is None) or (isinstance(right, NilList) and left is None):
        return True
    if is_number(left) and is_number(right):
        return (
            _as_floats(left, right) if isinstance(left, float) or isinstance(right, float) else left == right
        )
    if isinstance(left, list) and isinstance(right, list):
        _refuse_unordered(left, right)
        return len(left) == len(right) and all(
            equal(item, counterpart, budget, depth + 1) for item, counterpart in zip(left, right, strict=True)
        )
    return same(left, right, budget, depth)


def _as_floats(left: float, right: float) -> bool:
    return float(left) == float(right)


def same(left: Value, right: Value, budget: Budget, depth: int = 0) -> bool:
    """Return whether two values are equal and of the same type at every level, as Go's `reflect.DeepEqual`."""
    budget.step()
    _check_depth(depth)
    if isinstance(left, Function) or isinstance(right, Function):
        return False
    if kind(left) != kind(right):
        return False
    if isinstance(left, list):
        _refuse_unordered(left, right)
        if isinstance(left, Typed) or isinstance(right, Typed):
            raise CannotEvaluate("lists of different types inside maps are not compared")
        return len(left) == len(right) and all(
            same(item, counterpart, budget, depth + 1) for item, counterpart in zip(left, right, strict=True)
        )
    if isinstance(left, dict):
        if isinstance(left, Grouped) or isinstance(right, Grouped):
            raise CannotEvaluate("the result of groupBy is not compared")
        return left.keys() == right.keys() and all(
            same(value, right[key], budget, depth + 1) for key, value in left.items()
        )
    if isinstance(left, Time):
        return bool(left.nanoseconds == right.nanoseconds)
    if isinstance(left, str):
        budget.read(len(left))
    return bool(left == right)


def less(left: Value, right: Value, budget: Budget) -> bool:
    """Return `left < right` for two numbers, texts, times or durations. Raise `InvalidExpression` for other values."""
    budget.step()
    if is_number(left) and is_number(right):
        return (
            bool(float(left) < float(right))
            if isinstance(left, float) or isinstance(right, float)
            else left < right
        )
    if isinstance(left, str) and isinstance(right, str):
        budget.read(min(len(left), len(right)))
        return left < right  # code points are in the order of their UTF-8 bytes
    if isinstance(left, Time) and isinstance(right, Time):
        return left.nanoseconds < right.nanoseconds
    if isinstance(left, Duration) and isinstance(right, Duration):
        return left < right
    raise InvalidExpression(f"{described(left)} and {described(right)} have no order")


def described(value: Value) -> str:
    """Return what a value is, for messages: never the value, which can be secret."""
    return {
        "nil": "nothing (nil)", "bool": "a boolean", "int": "a whole number", "float": "a number",
        "string": "a string", "array": "a list", "map": "a map", "func": "a function",
        "time.Time": "a time", "time.Duration": "a duration",
    }[kind(value)]  # fmt: skip


def ordered(value: list[Value]) -> list[Value]:
    """Return the list. Raise `CannotEvaluate` if Go returns its elements in random order."""
    _refuse_unordered(value)
    return value


def _refuse_unordered(*values: list[Value]) -> None:
    if any(isinstance(value, Unordered) and len(value) > 1 for value in values):
        raise CannotEvaluate("Kargo has the keys and values of a map in random order here; sort them first")


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CannotEvaluate(f"the values nest deeper than {MAX_DEPTH} levels")
