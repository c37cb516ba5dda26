"""Semantic versions as Masterminds/semver 3.5 parses them, which Kargo uses for tags, charts and constraints.

More lenient than semver.org: `v1`, `1.2` and `01.2.3` are versions, too. For constraints see `constraints`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

MAX_VERSION_LENGTH: Final = 256  # bytes; the limit of Masterminds/semver since 3.5
MAX_UINT64: Final = 2**64 - 1

IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION: Final = re.compile(
    rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({IDENTIFIERS}))?(?:\+({IDENTIFIERS}))?"
)


@dataclass(frozen=True, slots=True)
class Version:
    """A version. `pre` and `build` are the parts after `-` and `+`, without the sign.

    `full` says that none of the three numbers was omitted or written with leading zeros.
    """

    major: int
    minor: int
    patch: int
    pre: str = ""
    build: str = ""
    full: bool = True

    def __str__(self) -> str:
        pre = f"-{self.pre}" if self.pre else ""
        build = f"+{self.build}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{build}"


def parse_version(text: str) -> Version | None:
    """Parse a version leniently: an optional `v`, one to three numbers, pre-release, build. None if it is not one."""
    match = _VERSION.fullmatch(text) if len(text) <= MAX_VERSION_LENGTH else None
    if match is None:
        return None
    numbers = match.group(1, 2, 3)
    major, minor, patch = (int(number or 0) for number in numbers)
    pre = match[4] or ""
    if max(major, minor, patch) > MAX_UINT64 or any(map(_has_leading_zero, pre.split("."))):
        return None
    full = not any(number is None or _has_leading_zero(number) for number in numbers)
    return Version(major, minor, patch, pre, match[5] or "", full)


def parse_tag(text: str, *, strict: bool) -> Version | None:
    """Parse a tag as Kargo does (`pkg/controller/semver`).

    `strict` requires three numbers without leading zeros after an optional `v`.
    """
    version = parse_version(text)
    return None if version is None or (strict and not version.full) else version


def order(version: Version) -> tuple[Any, ...]:
    """Return the sort key of a version; build metadata is ignored."""
    numbers = (version.major, version.minor, version.patch)
    return (*numbers, 0, _pre_release_order(version.pre)) if version.pre else (*numbers, 1)


def _pre_release_order(pre: str) -> tuple[tuple[int, int | str], ...]:
    """Return the sort key of a pre-release: numbers before words; a number beyond uint64 is a word."""
    return tuple(map(_identifier_order, pre.split(".")))


def _identifier_order(identifier: str) -> tuple[int, int | str]:
    if identifier.isdigit() and int(identifier) <= MAX_UINT64:
        return 0, int(identifier)
    return 1, identifier


def _has_leading_zero(text: str) -> bool:
    return len(text) > 1 and text[0] == "0" and text.isdigit()
