"""Simplifies an expression where expr-lang does so, too, and where that changes what is an error.

`a or true` is true even if `a` isn't a boolean, and `any(list, a) or any(list, b)` is `any(list, a or b)`.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

from receivers.kargo.expressions.nodes import Binary, Literal, Node, PredicateCall, Unary

_MERGED: Final = {("any", "or"): "or", ("all", "and"): "and", ("none", "and"): "or"}


def simplified(node: Node) -> Node:
    """Return the expression, simplified."""
    changes: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        new = _of(value)
        if new is not value:
            changes[field.name] = new
    node = replace(node, **changes) if changes else node
    match node:
        case Unary("not", Literal(bool() as value)):
            return Literal(not value)
        case Binary("and" | "or"):
            return _logic(node)
    return node


def _of(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_of(each) for each in value)
    return simplified(value) if hasattr(value, "__dataclass_fields__") else value


def _logic(node: Binary) -> Node:
    decisive = node.operator == "or"
    for side, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(side, Literal) and isinstance(side.value, bool):
            return side if side.value is decisive else other
    left, right = node.left, node.right
    if isinstance(left, PredicateCall) and isinstance(right, PredicateCall):
        operator = _MERGED.get((left.name, node.operator))
        if (
            operator
            and (left.name, left.over) == (right.name, right.over)
            and left.predicate
            and right.predicate
        ):
            return replace(left, predicate=Binary(operator, left.predicate, right.predicate))
    return node
