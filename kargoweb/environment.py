"""Read and validate environment variables. All problems are reported together."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

PREFIX: Final = "KARGOWEB_"
FILE_SUFFIX: Final = "_FILE"
# Similarity of two names, 0 to 1. Typing errors are above it; variables that Kubernetes sets for Services are below.
SIMILARITY: Final = 0.9
TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})

T = TypeVar("T")


class ConfigurationError(Exception):
    """The environment is invalid. The message has one line per variable."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable on the status page. `given` is False for a default; `value` is empty for a secret."""

    name: str
    value: str
    given: bool
    secret: bool


class Environment:
    """Environment variables. `NAME_FILE` is the path of a file with the value of `NAME`. Empty means unset."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._known: set[str] = set()
        self._problems: list[str] = []
        self._settings: list[Setting] = []

    def read(self, name: str, default: T, parse: Callable[[str], T], *, secret: bool = False) -> T:
        """Return the parsed value of a variable, or the default if the variable is not set.

        `parse` gets the text without surrounding white space. It raises ValueError with what the variable must be; the
        problem is recorded for `finish` (with the value, unless it is secret) and the default is returned.
        """
        self._known.add(name)
        source, text = self._find(name)
        value = self._parsed(source, text, default, parse, secret=secret)
        self._settings.append(
            Setting(name, "" if secret else _formatted(value), given=bool(text), secret=secret)
        )
        return value

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Return the variables read so far, in that order, for display."""
        return tuple(self._settings)

    def _parsed(self, source: str, text: str, default: T, parse: Callable[[str], T], *, secret: bool) -> T:
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self._problems.append(f"{source} {'' if secret else f'is {text!r}; it '}{error}")
            return default

    def report(self, problem: str) -> None:
        """Record a problem of several variables together for `finish`."""
        self._problems.append(problem)

    def finish(self) -> None:
        """Raise `ConfigurationError` if a variable is invalid, a problem was reported or a name looks misspelled."""
        problems = self._problems + self._misspelled()
        if problems:
            raise ConfigurationError("\n".join(problems))

    def _find(self, name: str) -> tuple[str, str]:
        """Return the source of the value for messages, and the text, which is empty if the variable is not set."""
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

    def _misspelled(self) -> list[str]:
        known = self._known | {name + FILE_SUFFIX for name in self._known}
        unknown = sorted(name for name in self._variables if name.startswith(PREFIX) and name not in known)
        near = {name: difflib.get_close_matches(name, known, 1, SIMILARITY) for name in unknown}
        return [f"{name} is unknown; did you mean {like[0]}?" for name, like in near.items() if like]


def _formatted(value: object) -> str:
    """Return a value in the notation of the environment."""
    if isinstance(value, tuple):
        return ",".join(map(_formatted, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def text(value: str) -> str:
    """Accept any text."""
    return value


def boolean(value: str) -> bool:
    """Parse true/false, yes/no, on/off or 1/0 in any case. Raises ValueError."""
    if value.lower() not in TRUE | FALSE:
        raise ValueError("must be true or false")
    return value.lower() in TRUE


def integer(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a parser of integers within an inclusive range."""

    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and lowest <= int(value) <= highest):
            raise ValueError(f"must be an integer from {lowest} to {highest}")
        return int(value)

    return parse


def seconds(lowest: float, highest: float) -> Callable[[str], float]:
    """Return a parser of a number of seconds within an inclusive range."""
    return _number("a number of seconds", lowest, highest)


def per_second(lowest: float, highest: float) -> Callable[[str], float]:
    """Return a parser of a rate within an inclusive range."""
    return _number("a number per second", lowest, highest)


def _number(what: str, lowest: float, highest: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        sentence = f"must be {what} from {lowest:g} to {highest:g}"
        try:
            number = float(value)
        except ValueError:
            raise ValueError(sentence) from None
        if not lowest <= number <= highest:  # also false for NaN
            raise ValueError(sentence)
        return number

    return parse


def ascending_seconds(lowest: float, highest: float, most: int) -> Callable[[str], tuple[float, ...]]:
    """Return a parser of one to `most` numbers of seconds within an inclusive range, in ascending order."""
    parse_number = seconds(lowest, highest)

    def parse(value: str) -> tuple[float, ...]:
        sentence = (
            f"must be 1 to {most} numbers of seconds from {lowest:g} to {highest:g} in ascending order, "
            "such as 10,60,300"
        )
        try:
            numbers = comma_separated(parse_number)(value)
        except ValueError:
            raise ValueError(sentence) from None
        if not 1 <= len(numbers) <= most or list(numbers) != sorted(numbers):
            raise ValueError(sentence)
        return numbers

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """Return a parser of one of these words, in any case."""
    by_lower_case = {word.lower(): word for word in words}

    def parse(value: str) -> str:
        try:
            return by_lower_case[value.lower()]
        except KeyError:
            raise ValueError(f"must be one of {', '.join(words)}") from None

    return parse


def comma_separated(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return a parser of values separated by commas. Surrounding white space and empty values are ignored."""
    return lambda value: tuple(parse(part.strip()) for part in value.split(",") if part.strip())
