"""Times and durations: the functions that read them, and their methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from receivers.kargo.expressions.arguments import MAX_INT, Arguments, FunctionTable, text
from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.values import Duration, Time, Value, described, quotient

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
_PARTS_OF_DURATION: Final = {
    "Hours": 3600 * _NANOSECONDS,
    "Minutes": 60 * _NANOSECONDS,
    "Seconds": _NANOSECONDS,
}
_COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "Before": lambda left, right: left < right,
    "After": lambda left, right: left > right,
    "Equal": lambda left, right: left == right,
}
_PARTS_OF_TIME: Final[Mapping[str, Callable[[datetime], int]]] = {
    "Year": lambda time: time.year,
    "Day": lambda time: time.day,
    "Hour": lambda time: time.hour,
    "Minute": lambda time: time.minute,
    "Second": lambda time: time.second,
    "YearDay": lambda time: time.timetuple().tm_yday,
}


def _duration(arguments: Arguments, budget: Budget) -> Duration:
    written = text(arguments[0])
    sign, unsigned = (-1, written[1:]) if written[:1] == "-" else (1, written.removeprefix("+"))
    if unsigned == "0":
        return Duration(0)
    if not unsigned or len(unsigned) > _MAX_DURATION_LENGTH or _DURATION.sub("", unsigned):
        raise InvalidExpression("a string that isn't a duration, such as 1h30m")
    nanoseconds = sum(int(Decimal(number) * _UNITS[unit]) for number, unit in _DURATION.findall(unsigned))
    if nanoseconds > MAX_INT:
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


TIME_FUNCTIONS: Final[FunctionTable] = {
    "date": _date,
    "duration": _duration,
}
