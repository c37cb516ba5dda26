"""What expr-lang knows of a syntax tree before it evaluates it: the constants, which it treats in its own way."""

from __future__ import annotations

from receivers.kargo.expressions.failures import CannotEvaluate, InvalidExpression
from receivers.kargo.expressions.nodes import (
    Binary,
    BuiltinCall,
    Conditional,
    Let,
    ListLiteral,
    Literal,
    MapLiteral,
    Member,
    Node,
    PredicateCall,
    Sequence,
    Slice,
    Unary,
)
from receivers.kargo.expressions.values import Value, described


def key_of_constants(node: ListLiteral, value: Value) -> Value:
    """Return what is looked for in a list. expr-lang makes a map of constant texts, so only a text can be in it.

    Raises `InvalidExpression` or `CannotEvaluate` if another value is looked for.
    """
    if node.items and all(isinstance(item, Literal) and isinstance(item.value, str) for item in node.items):
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InvalidExpression(f"{described(value)} isn't compared with strings")
    elif node.items and not isinstance(value, str | int | float) and all(map(is_constant, node.items)):
        raise CannotEvaluate(f"{described(value)} in a list of constants")
    return value


def is_constant(node: Node) -> bool:
    """Return whether expr-lang may know the value of a node before it evaluates the others."""
    match node:
        case Literal():
            return True
        case Unary(operand=operand):
            return is_constant(operand)
        case Binary(left=left, right=right):
            return is_constant(left) and is_constant(right)
        case Conditional(condition=condition, yes=yes, no=no):
            return all(map(is_constant, (condition, yes, no)))
        case ListLiteral(items=items) | BuiltinCall(arguments=items):
            return all(map(is_constant, items))
    return isinstance(node, PredicateCall | MapLiteral | Member | Slice | Let | Sequence)  # perhaps
