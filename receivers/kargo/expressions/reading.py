"""Prepares expressions for evaluation."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from receivers.kargo.expressions.nodes import Node
from receivers.kargo.expressions.parser import parse
from receivers.kargo.expressions.simplify import simplified
from receivers.kargo.expressions.static_types import check

_CACHED: Final = 256  # expressions; a receiver has a few


@lru_cache(_CACHED)
def read(source: str) -> Node:
    """Return an expression that is ready for evaluation. Raise `InvalidExpression` or `CannotEvaluate`."""
    node = parse(source)
    check(node)
    return simplified(node)
