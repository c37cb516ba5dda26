"""Environment variables, read with a type; everything that is wrong with them is told at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

PREFIX: Final = "KARGOWEB_"
FILE_SUFFIX: Final = "_FILE"
# Of two names: a slip of the finger is above, what Kubernetes sets for a Service is below.
LIKENESS: Final = 0.9
TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})

T = TypeVar("T")


class ConfigurationError(Exception):
    """The environment asks for something that cannot be; the text has a line for every variable concerned."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable as the status page shows it: whether it was `given`, and its value unless that is a secret."""

    name: str
    value: str
    given: bool
    secret: bool


class Environment:
    """Variables by name. `NAME_FILE` may hold the path of a file with the value of `NAME`; empty counts as unset."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._known: set[str] = set()
        self._problems: list[str] = []
        self._told: list[Setting] = []

    def read(self, name: str, default: T, parse: Callable[[str], T], *, secret: bool = False) -> T:
        """Return the value of a variable as `parse` makes it of the text, without white space around it.

        `parse` raises ValueError with a sentence that says what the variable takes. The problem is then noted (with the
        value, if it is no secret) and the default is returned, as when the variable is not set.
        """
        self._known.add(name)
        source, text = self._find(name)
        value = self._parsed(source, text, default, parse, secret=secret)
        self._told.append(Setting(name, "" if secret else _written(value), given=bool(text), secret=secret))
        return value

    @property
    def told(self) -> tuple[Setting, ...]:
        """Return what was read so far, for people, in that order."""
        return tuple(self._told)

    def _parsed(self, source: str, text: str, default: T, parse: Callable[[str], T], *, secret: bool) -> T:
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self._problems.append(f"{source} {'' if secret else f'is {text!r}; it '}{error}")
            return default

    def finish(self) -> None:
        """Raise `ConfigurationError` if anything that was read is wrong, or a name looks like a slip of the finger."""
        problems = self._problems + self._slips()
        if problems:
            raise ConfigurationError("\n".join(problems))

    def _find(self, name: str) -> tuple[str, str]:
        """Return how to name the source of the value in a message, and the text; the text is empty if there is none."""
        text = self._variables.get(name, "").strip()
        path = self._variables.get(name + FILE_SUFFIX, "").strip()
        if not path:
            return name, text
        source = f"{name}{FILE_SUFFIX} ({path})"
        if text:
            self._problems.append(f"{name} and {name}{FILE_SUFFIX} are both set; unset one of them")
            return source, ""
        return source, self._content(source, path)

    def _content(self, source: str, path: str) -> str:
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            problem = "the file is not UTF-8 text"
        except (OSError, ValueError) as error:
            problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        else:
            if text:
                return text
            problem = "the file is empty"
        self._problems.append(f"{source}: {problem}")
        return ""

    def _slips(self) -> list[str]:
        known = self._known | {name + FILE_SUFFIX for name in self._known}
        strangers = sorted(name for name in self._variables if name.startswith(PREFIX) and name not in known)
        near = {name: difflib.get_close_matches(name, known, 1, LIKENESS) for name in strangers}
        return [f"{name} is not known; did you mean {like[0]}?" for name, like in near.items() if like]


def _written(value: object) -> str:
    """Return a value as one would write it into the environment."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def text(value: str) -> str:
    """Take any text."""
    return value


def flag(value: str) -> bool:
    """Take true or false, in the usual spellings. Raises ValueError."""
    if value.lower() not in TRUE | FALSE:
        raise ValueError("takes true or false")
    return value.lower() in TRUE


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a parser that takes the whole numbers of a range, both ends included."""

    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
            raise ValueError(f"takes a whole number from {lowest} to {highest}")
        return int(value)

    return parse


def seconds(lowest: float, highest: float) -> Callable[[str], float]:
    """Return a parser that takes a number of seconds in a range, both ends included."""

    def parse(value: str) -> float:
        sentence = f"takes seconds from {lowest:g} to {highest:g}"
        try:
            number = float(value)
        except ValueError:
            raise ValueError(sentence) from None
        if not lowest <= number <= highest:  # NaN is in no range
            raise ValueError(sentence)
        return number

    return parse


def rising_seconds(lowest: float, highest: float, most: int) -> Callable[[str], tuple[float, ...]]:
    """Return a parser that takes one to `most` numbers of seconds in a range, each at least the one before."""
    one = seconds(lowest, highest)

    def parse(value: str) -> tuple[float, ...]:
        sentence = f"takes 1 to {most} numbers of seconds from {lowest:g} to {highest:g}, the smallest first: 10,60,300"
        try:
            numbers = listed(one)(value)
        except ValueError:
            raise ValueError(sentence) from None
        if not 1 <= len(numbers) <= most or list(numbers) != sorted(numbers):
            raise ValueError(sentence)
        return numbers

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes one of some words, in capitals or not."""

    def parse(value: str) -> str:
        if value.upper() not in words:
            raise ValueError(f"takes one of {', '.join(words)}")
        return value.upper()

    return parse


def listed(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return a parser that takes values separated by commas; white space around them and empty ones do not count."""
    return lambda value: tuple(parse(part.strip()) for part in value.split(",") if part.strip())
