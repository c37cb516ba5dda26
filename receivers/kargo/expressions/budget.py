"""Limits of the work that expressions of one request may cause.

Everyone who may edit a ProjectConfig writes expressions, and everyone who knows the URL sends the values. Both can be
hostile, so steps, and the memory of new values, are counted over all expressions of a request.
"""

from __future__ import annotations

from typing import Final

from receivers.kargo.expressions.failures import CannotEvaluate

MAX_LENGTH: Final = 10_000
"""Characters of an expression, or of a text with expressions; people write at most a few hundred."""

MAX_DEPTH: Final = 100
"""Levels of nesting in an expression or a value, so that Python's stack suffices."""

MAX_STEPS: Final = 200_000
"""Steps per request, a tenth of a second to a quarter. A push with 2,000 commits takes some 10,000."""

MAX_MEMORY: Final = 8 << 20
"""Bytes, roughly, of the values that the expressions of one request make; a body has at most 2 MiB."""

_TEXT_PER_STEP: Final = 512  # characters; searching that many takes about as long as one step
_ITEM: Final = 16  # bytes of a list per element
_REGEX_PER_STEP: Final = 100  # characters times instructions, if RE2 cannot keep all states of an expression


class Budget:
    """What is left of the limits. Every method raises `CannotEvaluate` if they are exceeded."""

    __slots__ = ("_memory", "_steps")

    def __init__(self, steps: int = MAX_STEPS, memory: int = MAX_MEMORY) -> None:
        self._steps = steps
        self._memory = memory

    def step(self, count: int = 1) -> None:
        """Count steps of evaluation. Raises `CannotEvaluate` if they are too many."""
        self._steps -= count
        if self._steps < 0:
            raise CannotEvaluate("the expressions take too many steps")

    def read(self, length: int) -> None:
        """Count the work of reading a text of this length."""
        self.step(1 + length // _TEXT_PER_STEP)

    def regex(self, size: int, length: int) -> None:
        """Count the work of matching a text of this length with a regular expression of this size."""
        self.step(1 + size * length // _REGEX_PER_STEP)

    def text(self, length: int) -> None:
        """Count a new text, before it is made."""
        self._take(length)
        self.read(length)

    def items(self, count: int) -> None:
        """Count a new list or map with so many elements, before it is made."""
        self._take(count * _ITEM)
        self.step(count)

    def _take(self, memory: int) -> None:
        self._memory -= memory
        if self._memory < 0:
            raise CannotEvaluate("the values in the expressions take too much memory")
