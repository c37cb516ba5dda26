"""Version constraints in the dialect of Masterminds/semver 3.5, and why a version does not satisfy one.

`^1.2`, `~1.2.3`, `>=1.0 <2.0`, `1.2 - 1.4`, `1.x || 2.x`. Space and comma mean AND, `||` means OR. A pre-release
satisfies only groups of ANDs in which at least one part names a pre-release itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import re2

from receivers.kargo.quoting import quoted
from receivers.kargo.semver import Version, order, parse_version

LONGEST_CONSTRAINT: Final = 512  # bytes, before hyphen ranges are written out
MOST_GROUPS: Final = 32  # groups joined by ||

_REMEMBERED: Final = 4096  # constraints; 10,000 Warehouses share far fewer

_WILDCARDS: Final = frozenset("xX*")
_IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_PART: Final = r"[0-9xX*|]+"
_PATTERN: Final = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
_OPERATOR: Final = r"(?:!=|>=|=>|<=|=<|~>|[=<>~^])?"
_COMPARATOR: Final = rf"{_OPERATOR}\s*{_PATTERN}"
# RE2, because hostile white space would take the backtracking of `re` forever.
_RANGE: Final = re2.compile(rf"\s*({_PATTERN})\s+-\s+({_PATTERN})\s*")
_GROUP: Final = re2.compile(rf"\s*{_COMPARATOR}\s*(?:(?:\s|,)\s*{_COMPARATOR}\s*)*")
_COMPARATORS: Final = re2.compile(_COMPARATOR)
_SPLIT: Final = re.compile(
    rf"(?P<operator>{_OPERATOR})\s*(?P<version>v?(?P<major>{_PART})(?:\.(?P<minor>{_PART}))?(?:\.(?P<patch>{_PART}))?"
    rf"(?P<pre>-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?)",
    re.ASCII,
)

_NUMBERS: Final = 3  # major, minor, patch
_PATCH_LEFT_OUT: Final = 2  # the precision of 1.2 and 1.2.x

Bound: TypeAlias = tuple[Any, ...]
"""A place in the order of `semver.order`. A beginning of a key stands before everything that begins with it."""


class InvalidConstraint(ValueError):
    """Text that is no constraint; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Comparator:
    """One part of a constraint: versions from `low` up to but without `high`, or (`negated`) all the others.

    The bounds are in the order of `semver.order`, None means open. With `only_pre`, only versions with exactly that
    pre-release (or none, if empty) count as inside.
    """

    text: str
    low: Bound | None
    high: Bound | None
    names_pre_release: bool
    negated: bool = False
    only_pre: str | None = None

    def admits(self, version: Version) -> bool:
        """Say whether the version is within this part; whether pre-releases may be is asked of the group."""
        key = order(version)
        inside = (self.low is None or self.low <= key) and (self.high is None or key < self.high)
        if inside and self.only_pre is not None:
            inside = self.only_pre == version.pre
        return inside != self.negated

    def meaning(self) -> str:
        """Return the range in plain comparisons, `>=1.2.0 <2.0.0`; empty if the text says as much itself."""
        if self.negated or self.low is None or self.high is None or len(self.high) > _NUMBERS:
            return ""
        low = ".".join(map(str, self.low[:_NUMBERS]))
        pre = self.text.partition("-")[2].partition("+")[0]
        high = ".".join(map(str, (*self.high, 0, 0)[:_NUMBERS]))
        return f">={low}{f'-{pre}' if pre else ''} <{high}"


@dataclass(frozen=True, slots=True)
class Group:
    """Parts that must all hold."""

    text: str
    parts: tuple[Comparator, ...]

    @property
    def admits_pre_releases(self) -> bool:
        """Say whether any part names a pre-release; then all pre-releases are looked at in this group."""
        return any(part.names_pre_release for part in self.parts)

    def refusing_part(self, version: Version) -> Comparator | None:
        """Return the first part that the version does not satisfy; None if there is none."""
        return next((part for part in self.parts if not part.admits(version)), None)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Groups of which one must hold."""

    text: str
    groups: tuple[Group, ...]

    def admits(self, version: Version) -> bool:
        """Say whether the version satisfies the constraint."""
        return any(
            (not version.pre or group.admits_pre_releases) and group.refusing_part(version) is None
            for group in self.groups
        )

    def refuses_as_pre_release(self, version: Version) -> bool:
        """Say whether the version is refused for being a pre-release, wherever it stands."""
        return bool(version.pre) and not any(group.admits_pre_releases for group in self.groups)

    def refusal(self, version: Version) -> str:
        """Return what the version does not satisfy, to follow `does not satisfy`."""
        if len(self.groups) > 1:
            return f"any of {self.text}"
        part = self.groups[0].refusing_part(version)
        if part is None:
            return self.text
        meaning = f" ({part.meaning()})" if part.meaning() else ""
        whole = f" in {quoted(self.text)}" if len(self.groups[0].parts) > 1 else ""
        return f"{part.text}{meaning}{whole}"


@lru_cache(_REMEMBERED)
def parse_constraint(text: str) -> Constraint:
    """Read a constraint. Raises `InvalidConstraint`."""
    if len(text.encode("utf-8", "replace")) > LONGEST_CONSTRAINT:
        raise InvalidConstraint(f"it is longer than {LONGEST_CONSTRAINT} bytes")
    groups = _write_out_ranges(text).split("||")
    if len(groups) > MOST_GROUPS:
        raise InvalidConstraint(f"it has more than {MOST_GROUPS} alternatives")
    return Constraint(text, tuple(map(_parse_group, groups)))


def _write_out_ranges(text: str) -> str:
    written = text
    for found in _RANGE.finditer(text):
        written = written.replace(found[0], f">= {found[1]}, <= {found[2]} ", 1)
    return written


def _parse_group(text: str) -> Group:
    if not text.strip():
        raise InvalidConstraint("a part of it is empty")
    if not _GROUP.fullmatch(text):
        raise InvalidConstraint(f"{quoted(text.strip())} is no comparison like ^1.2.0 or >=1.0.0 <2.0.0")
    return Group(text.strip(), tuple(_parse_comparator(found[0]) for found in _COMPARATORS.finditer(text)))


def _parse_comparator(text: str) -> Comparator:
    found = _SPLIT.fullmatch(text.strip())
    if found is None:
        raise InvalidConstraint(f"{quoted(text)} is not a comparison")
    precision = _precision(found)
    pre = found["pre"] or ""
    numbers = [found["major"], found["minor"], found["patch"]][:precision]
    # A wildcard leaves the rest out: whatever stands there is not looked at.
    full = found["version"] if precision == _NUMBERS else ".".join([*numbers, "0", "0", "0"][:_NUMBERS]) + pre
    version = parse_version(full)
    if version is None:
        raise InvalidConstraint(f"{quoted(found['version'])} is not a version")
    return _comparator(found[0], found["operator"], version, precision)


def _precision(found: re.Match[str]) -> int:
    """Return how many of the three numbers are given before the first wildcard or the end."""
    numbers = (found["major"], found["minor"], found["patch"])
    return next((at for at, number in enumerate(numbers) if number is None or number in _WILDCARDS), _NUMBERS)


def _comparator(text: str, operator: str, version: Version, precision: int) -> Comparator:
    low, high = _bounds(operator, version, precision)
    negated = operator == "!="
    only_pre = version.pre if negated and precision == _PATCH_LEFT_OUT else None
    return Comparator(text, low, high, bool(version.pre), negated, only_pre)


def _bounds(operator: str, version: Version, precision: int) -> tuple[Bound | None, Bound | None]:
    """Return from where and up to where versions are inside, for `precision` numbers given (0 to 3)."""
    key = order(version)
    exact = precision == _NUMBERS
    bounds: dict[str, tuple[Bound | None, Bound | None]] = {
        "=": (key, _after(key) if exact else _tilde_end(version, precision)),
        "!=": _not_equal_bounds(version, precision),
        ">": (_step(version, precision) if precision in {1, 2} else _after(key), None),
        "<": (None, key),
        ">=": (key, None),
        "<=": (None, _after(key) if exact else _step(version, precision or 2)),
        "~": (key, _tilde_end(version, precision)),
        "^": (key, _caret_end(version, precision)),
    }
    return bounds[_SYNONYMS.get(operator, operator)]


_SYNONYMS: Final = {"": "=", "=>": ">=", "=<": "<=", "~>": "~"}


def _after(key: Bound) -> Bound:
    return (*key, 0)


def _step(version: Version, position: int) -> Bound:
    """Return the bound before everything with a larger number at this position (1 to 3)."""
    numbers = (version.major, version.minor, version.patch)[:position]
    return (*numbers[:-1], numbers[-1] + 1)


def _tilde_end(version: Version, precision: int) -> Bound | None:
    # ~0.0.0 and ~* have no upper end: so it is in the reference, and people rely on `*`.
    if precision in {0, _NUMBERS} and not (version.major or version.minor or version.patch):
        return None
    return _step(version, 1 if precision == 1 else 2)


def _caret_end(version: Version, precision: int) -> Bound:
    if version.major or precision == 1:
        return _step(version, 1)
    return _step(version, 2 if version.minor or precision == _PATCH_LEFT_OUT else _NUMBERS)


def _not_equal_bounds(version: Version, precision: int) -> tuple[Bound, Bound]:
    if precision in {1, 2}:
        return (version.major, version.minor)[:precision], _step(version, precision)
    return order(version), _after(order(version))
