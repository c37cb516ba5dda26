"""The functions of lists and maps."""

from __future__ import annotations

from functools import cmp_to_key
from itertools import pairwise
from typing import Final

from receivers.kargo.expressions.arguments import Arguments, FunctionTable, as_list, integer, text
from receivers.kargo.expressions.budget import MAX_DEPTH, Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import (
    Grouped,
    NilList,
    Unordered,
    Value,
    described,
    equal,
    less,
    ordered,
)

_MAX_STABLE: Final = 12  # elements that Go sorts without changing the order of equal ones


def _len(arguments: Arguments, budget: Budget) -> int:
    value = arguments[0]
    if isinstance(value, str | list | dict):
        return len(value)
    raise InvalidExpression(f"{described(value)} has no length")


def _first(arguments: Arguments, budget: Budget) -> Value:
    return _element(arguments[0], 0)


def _last(arguments: Arguments, budget: Budget) -> Value:
    return _element(arguments[0], -1)


def _element(value: Value, position: int) -> Value:
    if value is None:
        return None
    if not isinstance(value, list):
        raise CannotEvaluate(f"the first or last element of {described(value)}")
    return ordered(value)[position] if value else None


def _take(arguments: Arguments, budget: Budget) -> list[Value]:
    values, count = ordered(as_list(arguments[0])), arguments[1]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise InvalidExpression("the number of elements is a whole number, 0 or more")
    budget.items(min(count, len(values)))
    return type(values)(values[:count])


def _concat(arguments: Arguments, budget: Budget) -> list[Value]:
    lists = [ordered(as_list(argument)) for argument in arguments]
    budget.items(sum(map(len, lists)))
    return [item for each in lists for item in each] or NilList()


def _flatten(arguments: Arguments, budget: Budget) -> list[Value]:
    result: list[Value] = []
    _flatten_into(ordered(as_list(arguments[0])), result, budget, 0)
    return result


def _flatten_into(values: list[Value], result: list[Value], budget: Budget, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CannotEvaluate(f"lists that nest deeper than {MAX_DEPTH} levels")
    budget.items(len(values))
    for value in values:
        if isinstance(value, list):
            _flatten_into(ordered(value), result, budget, depth + 1)
        else:
            result.append(value)


def _reverse(arguments: Arguments, budget: Budget) -> list[Value]:
    values = ordered(as_list(arguments[0]))
    budget.items(len(values))
    return values[::-1]


def _uniq(arguments: Arguments, budget: Budget) -> list[Value]:
    values = ordered(as_list(arguments[0]))
    budget.items(len(values))
    result: list[Value] = []
    for value in values:
        if not any(equal(value, other, budget) for other in result):
            result.append(value)
    return result


def _sort(arguments: Arguments, budget: Budget) -> list[Value]:
    if not isinstance(arguments[0], list):
        raise CannotEvaluate(f"sorting {described(arguments[0])}")
    values: list[Value] = arguments[0]
    budget.items(len(values))
    return [value for _, value in sorted_by(list(zip(values, values, strict=True)), arguments[1:], budget)]


def sorted_by(
    pairs: list[tuple[Value, Value]], order: list[Value], budget: Budget
) -> list[tuple[Value, Value]]:
    """Return pairs of a key and a value, sorted by the keys. `order` is empty or has "asc" or "desc".

    Raises `InvalidExpression` for another order or keys that have none, `CannotEvaluate` where Go's order isn't stable.
    """
    direction = text(order[0]) if order else "asc"
    if direction not in ("asc", "desc"):
        raise InvalidExpression('the order is "asc" or "desc"')

    def compare(left: tuple[Value, Value], right: tuple[Value, Value]) -> int:
        if direction == "desc":
            left, right = right, left
        if less(left[0], right[0], budget):
            return -1
        return 1 if less(right[0], left[0], budget) else 0

    result = sorted(pairs, key=cmp_to_key(compare))
    if len(pairs) > _MAX_STABLE and any(
        compare(left, right) == 0 and left[1] != right[1] for left, right in pairwise(result)
    ):
        raise CannotEvaluate("the order of elements that sort equally")
    return result


def get(value: Value, key: Value) -> Value:
    """Return an element, or None if there is none. Raise `EvaluationFailed` for a key of a wrong type."""
    match value:
        case None | bool() | int() | float():
            return None
        case dict():
            return map_item(value, key)
        case list():
            position = integer(key)
            position = position + len(value) if position < 0 else position
            return ordered(value)[position] if 0 <= position < len(value) else None
    raise CannotEvaluate(f"get of {described(value)}")


def map_item(value: dict[Value, Value], key: Value) -> Value:
    """Return the value of a key, or None if there is none. Raise `EvaluationFailed` for a key of a wrong type."""
    if isinstance(value, Grouped):
        if isinstance(key, list | dict | float):
            raise CannotEvaluate("the groups of such a key")
        return next(
            (group for each, group in value.items() if type(each) is type(key) and each == key), NilList()
        )
    if key is None:
        key = ""
    if not isinstance(key, str):
        raise InvalidExpression(f"{described(key)} as a key of a map")
    return value.get(key)


def _get(arguments: Arguments, budget: Budget) -> Value:
    return get(*arguments)


def _map(value: Value) -> dict[Value, Value]:
    if isinstance(value, dict):
        return value
    raise InvalidExpression(f"{described(value)} where a map is needed")


def _keys(arguments: Arguments, budget: Budget) -> list[Value]:
    budget.items(len(_map(arguments[0])))
    return Unordered(_map(arguments[0]))


def _values(arguments: Arguments, budget: Budget) -> list[Value]:
    budget.items(len(_map(arguments[0])))
    return Unordered(_map(arguments[0]).values())


LIST_FUNCTIONS: Final[FunctionTable] = {
    "concat": _concat,
    "first": _first,
    "flatten": _flatten,
    "get": _get,
    "keys": _keys,
    "last": _last,
    "len": _len,
    "reverse": _reverse,
    "sort": _sort,
    "take": _take,
    "uniq": _uniq,
    "values": _values,
}
