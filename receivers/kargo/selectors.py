"""How subscriptions select tags: Kargo's image, chart and commit selectors, as far as webhooks use them.

Source: Kargo's `pkg/image/*_selector.go`, `pkg/helm/chart/*_selector.go`, `pkg/controller/git/commit/*_selector.go`.
Every reason tells a person why their push did or did not match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from receivers.kargo.constraints import Constraint
from receivers.kargo.golang.goregexp import compile_regex, regex_facts
from receivers.kargo.path_selectors import PathSelector
from receivers.kargo.quoting import listed, quoted
from receivers.kargo.semver import Version, parse_tag, parse_version

BRANCHES: Final = "refs/heads/"
TAGS: Final = "refs/tags/"
TOO_COMPLEX: Final = "regex.too_complex"
# Instructions of all expressions of a subscription, each of which a push may have to compile: 50 ms
MAX_TOTAL_SIZE: Final = 50_000
_LIKELY_DEFAULT_BRANCHES: Final = frozenset({"main", "master"})


@dataclass(frozen=True, slots=True)
class TagDecision:
    """The decision of a selector about one tag.

    `matches` is None if the subscription cannot be evaluated. `rule` is the code of the rule that decided; `reason` is
    a sentence for people that quotes the values.
    """

    matches: bool | None
    rule: str
    reason: str


class Selector(Protocol):
    """Decides whether a subscription selects a pushed tag."""

    def defect(self) -> BrokenSelector | None:
        """Return why the subscription cannot be evaluated for any tag, or None."""
        ...

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether `tag` (not empty) is selected, and by which rule."""
        ...


@dataclass(frozen=True, slots=True)
class BrokenSelector:
    """The selector of a subscription that cannot be evaluated: the same decision for every tag."""

    rule: str
    reason: str

    def defect(self) -> BrokenSelector:
        """Return itself."""
        return self

    def evaluate(self, tag: str) -> TagDecision:
        """Return what is wrong with the subscription."""
        return TagDecision(None, self.rule, self.reason)


class _WithoutDefect:
    """A selector that can evaluate every tag."""

    __slots__ = ()

    def defect(self) -> None:
        """Return None."""


@dataclass(frozen=True, slots=True)
class UnsupportedSelector(_WithoutDefect):
    """The selector of a kind of subscription that webhooks do not refresh."""

    kind: str

    def evaluate(self, tag: str) -> TagDecision:
        """Return that no tag is selected."""
        return TagDecision(
            False, "kind.not_supported", f"webhooks do not refresh subscriptions of kind {quoted(self.kind)}"
        )


@dataclass(frozen=True, slots=True)
class ExactTagSelector(_WithoutDefect):
    """Image strategy Digest: tracks one mutable tag; regular expressions and versions are ignored."""

    tracked: str

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether this is the tracked tag."""
        if tag == self.tracked:
            return TagDecision(True, "digest.tag", f"tag {quoted(tag)} is the tracked tag")
        if not self.tracked:
            return TagDecision(
                False, "digest.tag", "the Digest strategy tracks the tag in constraint, which is empty"
            )
        return TagDecision(
            False, "digest.tag", f"tag {quoted(tag)} is not the tracked tag, {quoted(self.tracked)}"
        )


@dataclass(frozen=True, slots=True)
class TagRegex:
    """A regular expression, and the field that has it. It is compiled when it is used: that memory is limited."""

    field: str
    text: str

    def matches(self, tag: str) -> bool:
        """Say whether the expression matches anywhere in the tag. Only for expressions without a defect."""
        return compile_regex(self.text).search(tag.encode("utf-8", "replace")) is not None


@dataclass(frozen=True, slots=True)
class ExactTag:
    """A tag in `ignoreTags`, which Kargo has up to version 1.10."""

    text: str
    field: str = "ignoreTags"

    def matches(self, tag: str) -> bool:
        """Say whether it is this tag."""
        return tag == self.text


@dataclass(frozen=True, slots=True)
class RegexSelector:
    """Image strategies Lexical and NewestBuild, and the first step of SemVer: ignore takes precedence over allow."""

    allow: tuple[TagRegex, ...] = ()
    ignore: tuple[TagRegex | ExactTag, ...] = ()

    def defect(self) -> BrokenSelector | None:
        """Return which expression is invalid or too complex, or None."""
        size = 0
        for regex in (*self.allow, *self.ignore):
            if isinstance(regex, ExactTag):
                continue
            facts, named = regex_facts(regex.text), f"{regex.field} {quoted(regex.text)}"
            size += facts.size
            if facts.invalid:
                reason = f"{named} isn't a valid regular expression (RE2): {facts.invalid}"
                return BrokenSelector("regex.invalid", reason)
            if facts.too_complex or size > MAX_TOTAL_SIZE:
                return BrokenSelector(TOO_COMPLEX, f"{named} cannot be evaluated: too complex")
        return None

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether the expressions allow the tag."""
        defect = self.defect()
        return defect.evaluate(tag) if defect else self._decide(tag)

    def _decide(self, tag: str) -> TagDecision:
        for ignored in self.ignore:
            if ignored.matches(tag):
                return TagDecision(
                    False,
                    "regex.ignored",
                    f"tag {quoted(tag)} matches {ignored.field} {quoted(ignored.text)}",
                )
        if not self.allow:
            rules = "only ignore rules are set" if self.ignore else "no tag rules are set"
            return TagDecision(True, "regex.any", f"tag {quoted(tag)} is allowed ({rules})")
        for regex in self.allow:
            if regex.matches(tag):
                return TagDecision(
                    True, "regex.allowed", f"tag {quoted(tag)} matches {regex.field} {quoted(regex.text)}"
                )
        texts = listed([regex.text for regex in self.allow])
        none = "does not match" if len(self.allow) == 1 else "matches none of"
        fields = " and ".join(dict.fromkeys(regex.field for regex in self.allow))
        return TagDecision(False, "regex.not_allowed", f"tag {quoted(tag)} {none} {fields} {texts}")


@dataclass(frozen=True, slots=True)
class SemverSelector:
    """Image strategy SemVer: the regular expressions first, then the version."""

    regexes: RegexSelector
    strict: bool
    constraint: Constraint | None

    def defect(self) -> BrokenSelector | None:
        """Return which expression is invalid or too complex, or None."""
        return self.regexes.defect()

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether the tag is a version that satisfies the constraint."""
        decision = self.regexes.evaluate(tag)
        if not decision.matches:
            return decision
        version = parse_tag(tag, strict=self.strict)
        if version is None:
            return _not_a_version(tag)
        return decide_version(f"tag {quoted(tag)}", version, self.constraint)


@dataclass(frozen=True, slots=True)
class ChartSelector(_WithoutDefect):
    """Charts: the tag is parsed leniently as a version."""

    constraint: Constraint | None

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether the tag is a version that satisfies the constraint."""
        version = parse_version(tag)
        if version is not None:
            return decide_version(f"chart version {quoted(tag)}", version, self.constraint)
        reason = f"chart version {quoted(tag)} is not a semantic version"
        if parse_version(tag.replace("_", "+")):
            reason += "; Helm pushes + as _, which Kargo does not convert back for webhooks"
        return TagDecision(False, "semver.not_a_version", reason)


@dataclass(frozen=True, slots=True)
class GitBranchSelector(_WithoutDefect):
    """Git strategy NewestFromBranch. An empty `branch` is the default branch, whose name is unknown here."""

    branch: str

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether `tag`, the full name of a Git reference, is the tracked branch."""
        tracked = {self.branch} if self.branch else _LIKELY_DEFAULT_BRANCHES
        if tag.startswith(BRANCHES) and tag.removeprefix(BRANCHES) in tracked:
            return TagDecision(
                True, "git.branch", f"{quoted(tag.removeprefix(BRANCHES))} is the tracked branch"
            )
        pushed, branch = quoted(tag.removeprefix(BRANCHES)), quoted(self.branch or "main")
        return TagDecision(False, "git.branch", f"{pushed} is not the tracked branch, {branch}")


@dataclass(frozen=True, slots=True)
class GitTagSelector:
    """Git strategies Lexical, NewestTag and SemVer."""

    tags: RegexSelector | SemverSelector

    def defect(self) -> BrokenSelector | None:
        """Return which expression is invalid or too complex, or None."""
        return self.tags.defect()

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether `tag`, the full name of a Git reference, is a selected Git tag."""
        if defect := self.defect():
            return defect.evaluate(tag)
        if not tag.startswith(TAGS):
            return TagDecision(False, "git.tag", f"{quoted(tag)} is not a Git tag ({TAGS}...)")
        return self.tags.evaluate(tag.removeprefix(TAGS))


@dataclass(frozen=True, slots=True)
class GitSelector:
    """A Git subscription: the reference first, then the changed files."""

    references: GitBranchSelector | GitTagSelector
    paths: PathSelector

    def defect(self) -> BrokenSelector | None:
        """Return which expression or pattern is invalid or too complex, or None."""
        if defect := self.references.defect():
            return defect
        size = 0
        for pattern in self.paths.patterns:
            if problem := pattern.problem():
                return BrokenSelector("path.invalid", problem)
            size += pattern.size()
            if pattern.too_complex() or size > MAX_TOTAL_SIZE:
                named = f"{pattern.field} {quoted(pattern.text)}"
                return BrokenSelector(TOO_COMPLEX, f"{named} cannot be evaluated: too complex")
        return None

    def evaluate(self, tag: str) -> TagDecision:
        """Decide whether `tag`, the full name of a Git reference, is selected."""
        defect = self.defect()
        return defect.evaluate(tag) if defect else self.references.evaluate(tag)

    def evaluate_files(self, files: Sequence[str]) -> TagDecision:
        """Decide whether at least one of the changed files is selected; without files, there is no restriction."""
        if not files:
            return TagDecision(True, "path.unknown", "the push names no changed files")
        if selected := self.paths.selected(files):
            return TagDecision(True, "path.selected", f"file {quoted(selected)} is selected")
        changed = quoted(files[0]) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        include = [pattern.text for pattern in self.paths.include]
        exclude = [pattern.text for pattern in self.paths.exclude]
        rules = " and ".join(
            [f"includePaths {listed(include)}"] * bool(include)
            + [f"excludePaths {listed(exclude)}"] * bool(exclude)
        )
        return TagDecision(False, "path.not_selected", f"no changed file ({changed}) is selected by {rules}")


def decide_version(subject: str, version: Version, constraint: Constraint | None) -> TagDecision:
    """Decide whether a version satisfies the constraint; `subject` names it in the sentence."""
    if constraint is None:
        return TagDecision(True, "semver.any", f"{subject} is a semantic version (no constraint set)")
    if constraint.allows(version):
        return TagDecision(True, "semver.satisfied", f"{subject} satisfies {constraint.text}")
    if constraint.excludes_pre_release(version):
        return TagDecision(
            False, "semver.pre_release", f"{subject} is a pre-release, which {constraint.text} excludes"
        )
    return TagDecision(
        False, "semver.not_satisfied", f"{subject} does not satisfy {constraint.unsatisfied(version)}"
    )


def _not_a_version(tag: str) -> TagDecision:
    lenient = parse_version(tag)
    if lenient is None:
        return TagDecision(False, "semver.not_a_version", f"tag {quoted(tag)} is not a semantic version")
    return TagDecision(
        False,
        "semver.not_strict",
        f"tag {quoted(tag)} is not a full semantic version such as {lenient}, which strictSemvers requires",
    )
