"""Why an expression has no value."""

from __future__ import annotations


class EvaluationFailed(ValueError):
    """An expression has no value; the message says why, for people."""


class InvalidExpression(EvaluationFailed):
    """Kargo cannot evaluate the expression either: wrong syntax, wrong types, a field of nothing."""


class CannotEvaluate(EvaluationFailed):
    """kargoweb does not evaluate this, although Kargo may: a rare part of the language, or too much work."""
