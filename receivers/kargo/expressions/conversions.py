"""The functions that convert values: to numbers, text and JSON."""

from __future__ import annotations

import math
import re
from typing import Final

from receivers.kargo.expressions.arguments import MAX_INT, MIN_INT, Arguments, FunctionTable, integer, text
from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.text_forms import formatted, to_json
from receivers.kargo.expressions.values import Value, described, is_number, kind
from receivers.kargo.golang import goany, gojson

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_ODD_NUMBER: Final = re.compile(r"[+-]?(?:inf|infinity|nan|[0-9a-fx_.]+(?:[ep][+-]?[0-9_]+)?)", re.IGNORECASE)
_MAX_NUMBER_LENGTH: Final = 400  # characters


def _int(arguments: Arguments, budget: Budget) -> int:
    value = arguments[0]
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value) or not MIN_INT <= int(value) <= MAX_INT:
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
    except gojson.InvalidJson as error:
        raise InvalidExpression(f"a string that isn't JSON: {error}") from error
    except goany.TooDeep as error:
        raise CannotEvaluate("JSON that nests too deeply") from error


CONVERSIONS: Final[FunctionTable] = {
    "float": _float,
    "fromJSON": _from_json,
    "int": _int,
    "string": _string,
    "toJSON": _to_json,
    "type": _type,
}
