"""Version constraints in the dialect of Masterminds/semver 3.5, and why a version does not satisfy one.

Examples: `^1.2`, `~1.2.3`, `>=1.0 <2.0`, `1.2 - 1.4`, `1.x || 2.x`. Space and comma mean AND, `||` means OR. A
pre-release satisfies only AND groups in which at least one comparison names a pre-release itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import re2

from receivers.kargo.quoting import quoted
from receivers.kargo.semver import IDENTIFIERS, Version, order, parse_version

MAX_CONSTRAINT_LENGTH: Final = 512  # bytes, before hyphen ranges are expanded
MAX_GROUPS: Final = 32  # groups joined by ||

_CACHE_SIZE: Final = 4096  # constraints; 10,000 Warehouses share far fewer

_WILDCARDS: Final = frozenset("xX*")
_PART: Final = r"[0-9xX*|]+"
_PATTERN: Final = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:-{IDENTIFIERS})?(?:\+{IDENTIFIERS})?"
_OPERATOR: Final = r"(?:!=|>=|=>|<=|=<|~>|[=<>~^])?"
_COMPARATOR: Final = rf"{_OPERATOR}\s*{_PATTERN}"
# RE2, because the backtracking of `re` takes exponential time on hostile whitespace.
_RANGE: Final = re2.compile(rf"\s*({_PATTERN})\s+-\s+({_PATTERN})\s*")
_GROUP: Final = re2.compile(rf"\s*{_COMPARATOR}\s*(?:(?:\s|,)\s*{_COMPARATOR}\s*)*")
_COMPARATORS: Final = re2.compile(_COMPARATOR)
_SPLIT: Final = re.compile(
    rf"(?P<operator>{_OPERATOR})\s*(?P<version>v?(?P<major>{_PART})(?:\.(?P<minor>{_PART}))?(?:\.(?P<patch>{_PART}))?"
    rf"(?P<pre>-{IDENTIFIERS})?(?:\+{IDENTIFIERS})?)",
    re.ASCII,
)

_NUMBERS: Final = 3  # major, minor, patch
_PATCH_LEFT_OUT: Final = 2  # the precision of 1.2 and 1.2.x

Bound: TypeAlias = tuple[Any, ...]
"""A point in the order of `semver.order`. A prefix of a key sorts before every key that begins with it."""


class InvalidConstraint(ValueError):
    """Text that is not a constraint; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Comparator:
    """One comparison: versions from `low` (inclusive) to `high` (exclusive), or, if `negated`, all others.

    The bounds are in the order of `semver.order`; None means unbounded. With `only_pre`, only versions with exactly
    that pre-release (or none, if empty) count as inside.
    """

    text: str
    low: Bound | None
    high: Bound | None
    names_pre_release: bool
    negated: bool = False
    only_pre: str | None = None

    def allows(self, version: Version) -> bool:
        """Say whether the version satisfies this comparison. The group decides about pre-releases."""
        key = order(version)
        inside = (self.low is None or self.low <= key) and (self.high is None or key < self.high)
        if inside and self.only_pre is not None:
            inside = self.only_pre == version.pre
        return inside != self.negated

    def meaning(self) -> str:
        """Return the range in plain comparisons, such as `>=1.2.0 <2.0.0`; empty if the text is already plain."""
        if self.negated or self.low is None or self.high is None or len(self.high) > _NUMBERS:
            return ""
        low = ".".join(map(str, self.low[:_NUMBERS]))
        pre = self.text.partition("-")[2].partition("+")[0]
        high = ".".join(map(str, (*self.high, 0, 0)[:_NUMBERS]))
        return f">={low}{f'-{pre}' if pre else ''} <{high}"


@dataclass(frozen=True, slots=True)
class ConstraintGroup:
    """Comparisons that must all be satisfied."""

    text: str
    comparators: tuple[Comparator, ...]

    @property
    def allows_pre_releases(self) -> bool:
        """Say whether any comparison names a pre-release; only then can a pre-release satisfy this group."""
        return any(comparator.names_pre_release for comparator in self.comparators)

    def unsatisfied_comparator(self, version: Version) -> Comparator | None:
        """Return the first comparison that the version does not satisfy, or None."""
        return next((each for each in self.comparators if not each.allows(version)), None)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Groups of which at least one must be satisfied."""

    text: str
    groups: tuple[ConstraintGroup, ...]

    def allows(self, version: Version) -> bool:
        """Say whether the version satisfies the constraint."""
        return any(
            (not version.pre or group.allows_pre_releases) and group.unsatisfied_comparator(version) is None
            for group in self.groups
        )

    def excludes_pre_release(self, version: Version) -> bool:
        """Say whether the version is a pre-release and no group allows pre-releases."""
        return bool(version.pre) and not any(group.allows_pre_releases for group in self.groups)

    def unsatisfied(self, version: Version) -> str:
        """Return the words that follow `does not satisfy` in a sentence about the version."""
        if len(self.groups) > 1:
            return f"any of {self.text}"
        comparator = self.groups[0].unsatisfied_comparator(version)
        if comparator is None:
            return self.text
        meaning = f" ({comparator.meaning()})" if comparator.meaning() else ""
        whole = f" in {quoted(self.text)}" if len(self.groups[0].comparators) > 1 else ""
        return f"{comparator.text}{meaning}{whole}"


@lru_cache(_CACHE_SIZE)
def parse_constraint(text: str) -> Constraint:
    """Parse a constraint. Raise `InvalidConstraint` if Kargo rejects it."""
    if len(text.encode("utf-8", "replace")) > MAX_CONSTRAINT_LENGTH:
        raise InvalidConstraint(f"it is longer than {MAX_CONSTRAINT_LENGTH} bytes")
    groups = _expand_hyphen_ranges(text).split("||")
    if len(groups) > MAX_GROUPS:
        raise InvalidConstraint(f"it has more than {MAX_GROUPS} alternatives")
    return Constraint(text, tuple(map(_parse_group, groups)))


def _expand_hyphen_ranges(text: str) -> str:
    expanded = text
    for match in _RANGE.finditer(text):
        expanded = expanded.replace(match[0], f">= {match[1]}, <= {match[2]} ", 1)
    return expanded


def _parse_group(text: str) -> ConstraintGroup:
    if not text.strip():
        raise InvalidConstraint("one of its alternatives is empty")
    if not _GROUP.fullmatch(text):
        raise InvalidConstraint(
            f"{quoted(text.strip())} is not a comparison; use for example ^1.2.0 or >=1.0.0 <2.0.0"
        )
    return ConstraintGroup(
        text.strip(), tuple(_parse_comparator(match[0]) for match in _COMPARATORS.finditer(text))
    )


def _parse_comparator(text: str) -> Comparator:
    match = _SPLIT.fullmatch(text.strip())
    if match is None:
        raise InvalidConstraint(f"{quoted(text)} is not a comparison")
    precision = _precision(match)
    pre = match["pre"] or ""
    numbers = [match["major"], match["minor"], match["patch"]][:precision]
    # What follows a wildcard is ignored.
    full = match["version"] if precision == _NUMBERS else ".".join([*numbers, "0", "0", "0"][:_NUMBERS]) + pre
    version = parse_version(full)
    if version is None:
        raise InvalidConstraint(f"{quoted(match['version'])} is not a version")
    return _comparator(match[0], match["operator"], version, precision)


def _precision(match: re.Match[str]) -> int:
    """Return how many of the three numbers are given before the first wildcard or the end."""
    numbers = (match["major"], match["minor"], match["patch"])
    return next((at for at, number in enumerate(numbers) if number is None or number in _WILDCARDS), _NUMBERS)


def _comparator(text: str, operator: str, version: Version, precision: int) -> Comparator:
    low, high = _bounds(operator, version, precision)
    negated = operator == "!="
    only_pre = version.pre if negated and precision == _PATCH_LEFT_OUT else None
    return Comparator(text, low, high, bool(version.pre), negated, only_pre)


def _bounds(operator: str, version: Version, precision: int) -> tuple[Bound | None, Bound | None]:
    """Return the bounds for an operator and a version of which `precision` numbers (0 to 3) are given."""
    key = order(version)
    exact = precision == _NUMBERS
    bounds: dict[str, tuple[Bound | None, Bound | None]] = {
        "=": (key, _after(key) if exact else _tilde_end(version, precision)),
        "!=": _not_equal_bounds(version, precision),
        ">": (_next_bound(version, precision) if precision in {1, 2} else _after(key), None),
        "<": (None, key),
        ">=": (key, None),
        "<=": (None, _after(key) if exact else _next_bound(version, precision or 2)),
        "~": (key, _tilde_end(version, precision)),
        "^": (key, _caret_end(version, precision)),
    }
    return bounds[_SYNONYMS.get(operator, operator)]


_SYNONYMS: Final = {"": "=", "=>": ">=", "=<": "<=", "~>": "~"}


def _after(key: Bound) -> Bound:
    return (*key, 0)


def _next_bound(version: Version, position: int) -> Bound:
    """Return the bound below every version with a larger number at this position (1 to 3)."""
    numbers = (version.major, version.minor, version.patch)[:position]
    return (*numbers[:-1], numbers[-1] + 1)


def _tilde_end(version: Version, precision: int) -> Bound | None:
    # ~0.0.0 and ~* are unbounded in Masterminds/semver, too; people rely on `*`.
    if precision in {0, _NUMBERS} and not (version.major or version.minor or version.patch):
        return None
    return _next_bound(version, 1 if precision == 1 else 2)


def _caret_end(version: Version, precision: int) -> Bound:
    if version.major or precision == 1:
        return _next_bound(version, 1)
    return _next_bound(version, 2 if version.minor or precision == _PATCH_LEFT_OUT else _NUMBERS)


def _not_equal_bounds(version: Version, precision: int) -> tuple[Bound, Bound]:
    if precision in {1, 2}:
        return (version.major, version.minor)[:precision], _next_bound(version, precision)
    return order(version), _after(order(version))
