"""`includePaths` and `excludePaths` of Git subscriptions.

Source: Kargo's `pkg/controller/git/commit`, `MatchesPaths`, and `pkg/pattern`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from posixpath import normpath
from typing import Final

from receivers.kargo.golang.goglob import InvalidGlob, glob_regex
from receivers.kargo.golang.goregexp import compile_regex, regex_facts
from receivers.kargo.quoting import quoted

# What a pattern may start with, in all fields that `pkg/pattern` reads
GLOB: Final = "glob:"
REGEXES: Final = ("regexp:", "regex:")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern as written: `glob:`, `regex:` or `regexp:` and an expression, or a directory."""

    field: str
    text: str

    def size(self) -> int:
        """Return the number of instructions of the compiled pattern."""
        regex = self._regex()
        return regex_facts(regex).size if regex is not None else 0

    def problem(self) -> str:
        """Return why Kargo rejects the pattern; empty if it is valid."""
        try:
            regex = self._regex()
        except InvalidGlob as error:
            return f"{self.field} {quoted(self.text)} isn't a valid pattern: {error}"
        facts = regex_facts(regex) if regex is not None else None
        if facts and facts.invalid:
            return f"{self.field} {quoted(self.text)} isn't a valid regular expression (RE2): {facts.invalid}"
        return ""

    def too_complex(self) -> bool:
        """Say whether the pattern takes too much memory or time here."""
        regex = self._regex()
        return regex is not None and regex_facts(regex).too_complex

    def matches(self, path: str) -> bool:
        """Say whether the pattern matches a changed file. Only for patterns without a problem."""
        regex = self._regex()
        if regex is not None:
            return compile_regex(regex).search(path.encode("utf-8", "replace")) is not None
        return _is_below(path, self.text)

    def _regex(self) -> str | None:
        if self.text.startswith(GLOB):
            return glob_regex(self.text.removeprefix(GLOB))
        for prefix in REGEXES:
            if self.text.startswith(prefix):
                return self.text.removeprefix(prefix)
        return None


@dataclass(frozen=True, slots=True)
class PathSelector:
    """The paths of a Git subscription: at least one changed file must be included and not excluded."""

    include: tuple[PathPattern, ...] = ()
    exclude: tuple[PathPattern, ...] = ()

    @property
    def patterns(self) -> tuple[PathPattern, ...]:
        """Return all patterns."""
        return (*self.include, *self.exclude)

    def selected(self, files: Sequence[str]) -> str:
        """Return the first of the files that is included and not excluded, or an empty text.

        The name of a file may be empty, but then it says nothing, so "." stands for it.
        """
        for file in files:
            included = not self.include or any(pattern.matches(file) for pattern in self.include)
            if included and not any(pattern.matches(file) for pattern in self.exclude):
                return file or "."
        return ""


@lru_cache(4096)
def path_selector(include: tuple[str, ...], exclude: tuple[str, ...]) -> PathSelector:
    """Return the selector for the texts of `includePaths` and `excludePaths`."""
    return PathSelector(
        tuple(PathPattern("includePaths", text) for text in include),
        tuple(PathPattern("excludePaths", text) for text in exclude),
    )


def _is_below(path: str, directory: str) -> bool:
    """Say whether a path is in a directory, or is it, as Kargo compares them: nothing with `..` left is."""
    path, directory = _cleaned(path), _cleaned(directory)
    if path.startswith("/") != directory.startswith("/"):
        return False
    if directory in {".", "/"}:
        relative = path.removeprefix("/")
    elif path == directory or path.startswith(f"{directory}/"):
        relative = path[len(directory) + 1 :]
    else:
        return False
    return ".." not in relative


def _cleaned(path: str) -> str:
    """Return the path without empty segments, `.` and, where possible, `..`, as Go's `filepath.Clean`."""
    cleaned = normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned  # Python keeps two slashes at the start
