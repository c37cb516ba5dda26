"""Label selectors of Kubernetes.

Source: `LabelSelectorAsSelector` in Kubernetes' `apimachinery/pkg/apis/meta/v1`, and the rules of the names and values
of labels in its `pkg/util/validation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from receivers.kargo.quoting import quoted

_NAME: Final = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*+)?(?<=[A-Za-z0-9])")
_PREFIX: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_MAX_NAME: Final = 63  # characters
_MAX_PREFIX: Final = 253  # characters


class InvalidLabelSelector(ValueError):
    """A selector that Kubernetes refuses; the message says why."""


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One entry of `matchExpressions`; an entry of `matchLabels` is an `In` with one value."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `InvalidLabelSelector` if Kubernetes refuses the requirement."""
        if self.operator not in _MATCHES:
            raise InvalidLabelSelector(f"{quoted(self.operator)} isn't an operator of label selectors")
        if (self.operator in _WITH_VALUES) is not bool(self.values):
            has = "needs values" if self.operator in _WITH_VALUES else "has no values"
            raise InvalidLabelSelector(f"the operator {self.operator} {has}")
        if not _is_label_name(self.key):
            raise InvalidLabelSelector(f"{quoted(self.key)} isn't a valid name of a label")
        for value in self.values:
            if value and not _is_name(value):
                raise InvalidLabelSelector(f"{quoted(value)} isn't a valid value of a label")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels fulfill the requirement."""
        return _MATCHES[self.operator](labels.get(self.key), self.values)


def _is_name(text: str) -> bool:
    return len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None


def _is_label_name(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    if slash and not (len(prefix) <= _MAX_PREFIX and _PREFIX.fullmatch(prefix)):
        return False
    return bool(name) and _is_name(name)


_MATCHES: Final[Mapping[str, Callable[[str | None, Sequence[str]], bool]]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
}
_WITH_VALUES: Final = frozenset({"In", "NotIn"})
