"""The functions of expr-lang that take values, not predicates.

Source: the language definition of expr-lang 1.17, and the answers of its implementation where it says nothing. Texts
are positions in bytes for `indexOf` and slices, and in characters for `len`.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cmp_to_key
from itertools import pairwise
from typing import Any, Final

from receivers.kargo.expressions.budget import MAX_DEPTH, Budget
from receivers.kargo.expressions.errors import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.text_forms import formatted, to_json
from receivers.kargo.expressions.values import (
    Duration,
    Grouped,
    NilList,
    Numbers,
    Time,
    Typed,
    Unordered,
    Value,
    described,
    equal,
    is_number,
    kind,
    less,
    ordered,
    quotient,
    wrapped,
)
from receivers.kargo.golang import goany

_MAX_STABLE: Final = 12  # elements that Go sorts without changing the order of equal ones
_GO_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_ODD_NUMBER: Final = re.compile(r"[+-]?(?:inf|infinity|nan|[0-9a-fx_.]+(?:[ep][+-]?[0-9_]+)?)", re.IGNORECASE)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_MAX_NUMBER_LENGTH: Final = 400  # characters
_MAX_REPEATED: Final = 100_000  # characters; expr-lang has such a limit, too
_MIN_INT, _MAX_INT = -(1 << 63), (1 << 63) - 1
_DATE: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2}))"
    r"| ([0-9]{2}):([0-9]{2}):([0-9]{2}))?"
)
_NANOSECONDS: Final = 1_000_000_000
_UNITS: Final = {
    "h": 3600 * _NANOSECONDS, "m": 60 * _NANOSECONDS, "s": _NANOSECONDS, "ms": 1_000_000,
    "us": 1000, "µs": 1000, "μs": 1000, "ns": 1,
}  # fmt: skip
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|μs|ns|m|s)")
_MAX_DURATION_LENGTH: Final = 64  # characters
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Arguments = list[Any]


def call(name: str, arguments: Arguments, budget: Budget) -> Value:
    """Return the value of a function for arguments, whose number is checked. Raise `EvaluationFailed`."""
    function = _FUNCTIONS.get(name)
    if function is None:
        raise CannotEvaluate(f"the function {name}")
    budget.step()
    return function(arguments, budget)


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
    if not _MIN_INT <= value <= _MAX_INT or math.isnan(value):
        raise CannotEvaluate("a number that isn't a 64-bit integer")
    return int(value)


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


def _int(arguments: Arguments, budget: Budget) -> int:
    value = arguments[0]
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value) or not _MIN_INT <= int(value) <= _MAX_INT:
            raise InvalidExpression("a string that isn't a whole number")
        return int(value)
    return integer(value)


def _float(arguments: Arguments, budget: Budget) -> float:
    value = arguments[0]
    if is_number(value):
        return float(value)
    if not isinstance(value, str):
        raise InvalidExpression(f"{described(value)} isn't a number")
    if len(value) > _MAX_NUMBER_LENGTH:
        raise CannotEvaluate("a number of hundreds of digits")
    if _DECIMAL.fullmatch(value):
        number = float(value)
        if math.isinf(number):
            raise InvalidExpression("a number that is too large")
        return number
    if _ODD_NUMBER.fullmatch(value):
        raise CannotEvaluate("a number in an unusual notation")
    raise InvalidExpression("a string that isn't a number")


def _string(arguments: Arguments, budget: Budget) -> str:
    return formatted(arguments[0], budget)


def _type(arguments: Arguments, budget: Budget) -> str:
    return kind(arguments[0])


def _to_json(arguments: Arguments, budget: Budget) -> str:
    return to_json(arguments[0], budget, indent="  ")


def _from_json(arguments: Arguments, budget: Budget) -> Value:
    value = text(arguments[0])
    budget.text(8 * len(value))  # a document of brackets takes that much
    budget.step(len(value) // 16)
    try:
        return goany.decode(value.encode())
    except goany.InvalidJson as error:
        raise InvalidExpression(f"a string that isn't JSON: {error}") from error
    except goany.TooDeep as error:
        raise CannotEvaluate("JSON that nests too deeply") from error


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
    """Return pairs of a key and a value, sorted by the keys. `order` is empty or has "asc" or "desc"."""
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
        compare(one, other) == 0 and one[1] != other[1] for one, other in pairwise(result)
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


def _duration(arguments: Arguments, budget: Budget) -> Duration:
    written = text(arguments[0])
    sign, unsigned = (-1, written[1:]) if written[:1] == "-" else (1, written.removeprefix("+"))
    if unsigned == "0":
        return Duration(0)
    if not unsigned or len(unsigned) > _MAX_DURATION_LENGTH or _DURATION.sub("", unsigned):
        raise InvalidExpression("a string that isn't a duration, such as 1h30m")
    nanoseconds = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in _DURATION.findall(unsigned))
    if nanoseconds > _MAX_INT:
        raise InvalidExpression("a duration that is too long")
    return Duration(sign * nanoseconds)


def _date(arguments: Arguments, budget: Budget) -> Time:
    if len(arguments) > 1:
        raise CannotEvaluate("the function date with a format")
    written = text(arguments[0])
    match = _DATE.fullmatch(written) if len(written) < 64 else None
    if match is None:
        raise CannotEvaluate("a date that isn't written like 2024-01-31 or 2024-01-31T12:00:00Z")
    year, month, day, hour, minute, second, fraction, zone, *plain = match.groups()
    hour, minute, second = (hour, minute, second) if hour else [each or "0" for each in plain]
    try:
        date = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError as error:
        raise InvalidExpression("a date that does not exist") from error
    offset = _offset(zone) if zone and zone != "Z" else 0
    return Time(
        (date - _EPOCH) // timedelta(seconds=1) * _NANOSECONDS
        + int((fraction or "0").ljust(9, "0"))
        - offset * _NANOSECONDS,
        offset,
    )


def _offset(zone: str) -> int:
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise CannotEvaluate("a date in an unusual time zone")
    return (-1 if zone[0] == "-" else 1) * (3600 * hours + 60 * minutes)


def method(value: Time | Duration, name: str, arguments: Arguments) -> Value:
    """Return the value of a method of a time or a duration. Raise `EvaluationFailed`."""
    if isinstance(value, Duration) and name in _PARTS_OF_DURATION and not arguments:
        return quotient(value.nanoseconds, _PARTS_OF_DURATION[name])
    if isinstance(value, Time) and name in _COMPARISONS and len(arguments) == 1:
        if not isinstance(arguments[0], Time):
            raise InvalidExpression(f"{described(arguments[0])} where a time is needed")
        return _COMPARISONS[name](value.nanoseconds, arguments[0].nanoseconds)
    if isinstance(value, Time) and name in _PARTS_OF_TIME and not arguments:
        try:
            return _PARTS_OF_TIME[name](
                _EPOCH + timedelta(seconds=value.nanoseconds // _NANOSECONDS + value.offset)
            )
        except OverflowError as error:
            raise CannotEvaluate("a time before the year 1 or after 9999") from error
    raise CannotEvaluate(f"the method {name} of {described(value)}")


_PARTS_OF_DURATION: Final = {
    "Hours": 3600 * _NANOSECONDS,
    "Minutes": 60 * _NANOSECONDS,
    "Seconds": _NANOSECONDS,
}
_COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "Before": lambda one, other: one < other,
    "After": lambda one, other: one > other,
    "Equal": lambda one, other: one == other,
}
_PARTS_OF_TIME: Final[Mapping[str, Callable[[datetime], int]]] = {
    "Year": lambda time: time.year,
    "Day": lambda time: time.day,
    "Hour": lambda time: time.hour,
    "Minute": lambda time: time.minute,
    "Second": lambda time: time.second,
    "YearDay": lambda time: time.timetuple().tm_yday,
}
_FUNCTIONS: Final[Mapping[str, Callable[[Arguments, Budget], Value]]] = {
    "abs": _abs,
    "bitand": _bits(lambda one, other: one & other),
    "bitnand": _bits(lambda one, other: one & ~other),
    "bitnot": _bits(lambda one, other: ~one),
    "bitor": _bits(lambda one, other: one | other),
    "bitshl": _bits(lambda one, other: one << _shift(other)),
    "bitshr": _bits(lambda one, other: one >> _shift(other)),
    "bitushr": _bits(lambda one, other: (one % (1 << 64)) >> _shift(other)),
    "bitxor": _bits(lambda one, other: one ^ other),
    "ceil": _rounded(math.ceil),
    "concat": _concat,
    "date": _date,
    "duration": _duration,
    "first": _first,
    "flatten": _flatten,
    "float": _float,
    "floor": _rounded(math.floor),
    "fromBase64": _from_base64,
    "fromJSON": _from_json,
    "get": _get,
    "hasPrefix": _has_prefix,
    "hasSuffix": _has_suffix,
    "indexOf": _index_of,
    "int": _int,
    "join": _join,
    "keys": _keys,
    "last": _last,
    "lastIndexOf": _last_index_of,
    "len": _len,
    "lower": _lower,
    "max": _max,
    "mean": _mean,
    "median": _median,
    "min": _min,
    "repeat": _repeat,
    "replace": _replace,
    "reverse": _reverse,
    "round": _rounded(_round),
    "sort": _sort,
    "split": _split,
    "splitAfter": _split_after,
    "string": _string,
    "take": _take,
    "toBase64": _to_base64,
    "toJSON": _to_json,
    "trim": _trim,
    "trimPrefix": _trim_prefix,
    "trimSuffix": _trim_suffix,
    "type": _type,
    "uniq": _uniq,
    "upper": _upper,
    "values": _values,
}
