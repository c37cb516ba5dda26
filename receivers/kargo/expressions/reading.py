"""Prepares expressions for evaluation."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from receivers.kargo.expressions.nodes import Node
from receivers.kargo.expressions.parser import parse
from receivers.kargo.expressions.simplify import simplified
from receivers.kargo.expressions.static_types import check

_CACHED: Final = 256  # expressions; a receiver has a few
_MAX_CACHED_LENGTH: Final = 1_000  # characters, which take 70 KB of memory


def read(source: str) -> Node:
    """Return an expression that is ready for evaluation. Raise `InvalidExpression` or `CannotEvaluate`."""
    return _cached(source) if len(source) <= _MAX_CACHED_LENGTH else _read(source)


def _read(source: str) -> Node:
    node = parse(source)
    check(node)
    return simplified(node)


_cached = lru_cache(_CACHED)(_read)
