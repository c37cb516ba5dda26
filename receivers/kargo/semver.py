"""Semantic versions as Masterminds/semver 3.5 reads them, which Kargo uses for tags, charts and constraints.

More forgiving than semver.org: `v1`, `1.2` and `01.2.3` are versions, too. Constraints are in `constraints`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

LONGEST_VERSION: Final = 256  # bytes; Masterminds/semver refuses more since 3.5
LARGEST_NUMBER: Final = 2**64 - 1  # Go's uint64

_IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION: Final = re.compile(
    rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?"
)


@dataclass(frozen=True, slots=True)
class Version:
    """A version. `pre` and `build` are what follows `-` and `+`, without the sign; `full` says that none of the
    three numbers was left out or written with leading zeros.
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
    """Read a version leniently: one `v`, one to three numbers, pre-release, build. None for what is none."""
    found = _VERSION.fullmatch(text) if len(text) <= LONGEST_VERSION else None
    if found is None:
        return None
    numbers = found.group(1, 2, 3)
    major, minor, patch = (int(number or 0) for number in numbers)
    pre = found[4] or ""
    if max(major, minor, patch) > LARGEST_NUMBER or any(map(_has_leading_zero, pre.split("."))):
        return None
    full = not any(number is None or _has_leading_zero(number) for number in numbers)
    return Version(major, minor, patch, pre, found[5] or "", full)


def parse_tag(text: str, *, strict: bool) -> Version | None:
    """Read a tag as Kargo does (`pkg/controller/semver`): `strict` wants three plain numbers after an optional `v`."""
    version = parse_version(text)
    return None if version is None or (strict and not version.full) else version


def order(version: Version) -> tuple[Any, ...]:
    """Return the key by which versions are ordered; build metadata plays no part."""
    numbers = (version.major, version.minor, version.patch)
    return (*numbers, 0, _pre_release_order(version.pre)) if version.pre else (*numbers, 1)


def _pre_release_order(pre: str) -> tuple[tuple[int, int | str], ...]:
    """Return the key by which pre-releases are ordered: numbers before words; a number too large is a word."""
    return tuple(map(_identifier_order, pre.split(".")))


def _identifier_order(identifier: str) -> tuple[int, int | str]:
    if identifier.isdigit() and int(identifier) <= LARGEST_NUMBER:
        return 0, int(identifier)
    return 1, identifier


def _has_leading_zero(text: str) -> bool:
    return len(text) > 1 and text[0] == "0" and text.isdigit()
