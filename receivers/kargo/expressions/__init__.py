"""A small, strict evaluator of expr-lang, the language of the receiver kind `generic`.

It evaluates what people write in Kargo's `whenExpression` and target values. Everything else raises `CannotEvaluate`:
no value is better than a wrong one. It does no I/O, runs no code but its own, and ends within `Budget`.
"""

from __future__ import annotations

from collections.abc import Mapping

from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.evaluator import Evaluator
from receivers.kargo.expressions.failures import CannotEvaluate, EvaluationFailed, InvalidExpression
from receivers.kargo.expressions.reading import read
from receivers.kargo.expressions.templates import render
from receivers.kargo.expressions.values import Function, NilList, Time, Typed, Unreadable, Value

__all__ = [
    "Budget", "CannotEvaluate", "EvaluationFailed", "Function", "InvalidExpression", "NilList", "Time", "Typed",
    "Unreadable", "Value", "evaluate", "read", "render",
]  # fmt: skip


def evaluate(source: str, environment: Mapping[str, Value], budget: Budget, now: Time) -> Value:
    """Return the value of an expression. Raise `InvalidExpression` or `CannotEvaluate`.

    Names that are not in `environment` are None.
    """
    return Evaluator(environment, budget, now).evaluate(read(source))
