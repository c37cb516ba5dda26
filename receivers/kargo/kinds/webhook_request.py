"""What a receiver kind gets to see of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


class Headers:
    """The headers of a request. Names match in any case; blanks around values are not part of them."""

    __slots__ = ("_values",)

    def __init__(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.lower(), []).append(value.strip(" \t"))

    def first(self, name: str) -> str:
        """Return the first value of a header; empty if there is none, as Go's `Header.Get`."""
        return next(iter(self._values.get(name.lower(), ())), "")

    def all(self, name: str) -> tuple[str, ...] | None:
        """Return all values of a header in their order; None if there is none, as Go's `Header.Values`."""
        values = self._values.get(name.lower())
        return None if values is None else tuple(values)

    def items(self) -> list[tuple[str, str]]:
        """Return names, in lower case, and values."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def __repr__(self) -> str:
        return f"Headers({sorted(self._values)})"


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request to a receiver, as far as its kind reads it.

    `options` is the kind's object in the receiver's entry of `spec.webhookReceivers` (`secretRef`, and
    `virtualRepoName` or `actions`). `query` is the query string without its `?`. `project` is empty for a cluster
    receiver.
    """

    body: bytes
    headers: Headers = field(default_factory=Headers)
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    query: str = ""
    project: str = ""
