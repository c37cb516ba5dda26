"""The error that every receiver kind raises."""

from __future__ import annotations


class InvalidBody(ValueError):
    """A body that this kind of sender does not send; the message says what is wrong and where."""
