"""What every kind of receiver raises."""

from __future__ import annotations


class InvalidBody(ValueError):
    """A body that this kind of sender does not post; the text says in plain words what is wrong and where."""
