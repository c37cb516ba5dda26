"""The functions of expr-lang that take values, not predicates.

Source: the language definition of expr-lang 1.17, and the answers of its implementation where it says nothing.
"""

from __future__ import annotations

from typing import Final

from receivers.kargo.expressions.arguments import Arguments, FunctionTable
from receivers.kargo.expressions.budget import Budget
from receivers.kargo.expressions.conversions import CONVERSIONS
from receivers.kargo.expressions.failures import CannotEvaluate
from receivers.kargo.expressions.list_functions import LIST_FUNCTIONS
from receivers.kargo.expressions.number_functions import NUMBER_FUNCTIONS
from receivers.kargo.expressions.text_functions import TEXT_FUNCTIONS
from receivers.kargo.expressions.time_functions import TIME_FUNCTIONS
from receivers.kargo.expressions.values import Value

_FUNCTIONS: Final[FunctionTable] = {
    **CONVERSIONS,
    **LIST_FUNCTIONS,
    **NUMBER_FUNCTIONS,
    **TEXT_FUNCTIONS,
    **TIME_FUNCTIONS,
}


def call(name: str, arguments: Arguments, budget: Budget) -> Value:
    """Return the value of a function for arguments, whose number is checked. Raise `EvaluationFailed`."""
    function = _FUNCTIONS.get(name)
    if function is None:
        raise CannotEvaluate(f"the function {name}")
    budget.step()
    return function(arguments, budget)
