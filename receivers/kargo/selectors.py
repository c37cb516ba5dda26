"""How subscriptions select tags: Kargo's image, chart and commit selectors, as far as a webhook asks them.

Source: Kargo's `pkg/image/*_selector.go`, `pkg/helm/chart/*_selector.go`, `pkg/controller/git/commit/*_selector.go`.
Every reason is read by people who want to know why their push did or did not arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from receivers.kargo.constraints import Constraint
from receivers.kargo.quoting import listed, quoted
from receivers.kargo.semver import Version, parse_tag, parse_version

BRANCHES: Final = "refs/heads/"
TAGS: Final = "refs/tags/"
_LIKELY_DEFAULT_BRANCHES: Final = frozenset({"main", "master"})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a selector says about one tag.

    `matches` is None when the subscription cannot be evaluated at all.
    `rule` is a stable short name of the rule that decided; `reason` is a sentence for people, with the values.
    """

    matches: bool | None
    rule: str
    reason: str


class Selector(Protocol):
    """Decides whether a pushed tag is one that a subscription selects."""

    def judge(self, tag: str) -> Judgement:
        """Say whether `tag` (not empty) is selected, and by which rule."""
        ...


@dataclass(frozen=True, slots=True)
class Broken:
    """The selector of a subscription that cannot be evaluated: the same answer for every tag."""

    rule: str
    reason: str

    def judge(self, tag: str) -> Judgement:
        """Say what is wrong with the subscription."""
        return Judgement(None, self.rule, self.reason)


@dataclass(frozen=True, slots=True)
class NeverAsked:
    """The selector of a kind of subscription that no webhook reaches."""

    kind: str

    def judge(self, tag: str) -> Judgement:
        """Say no."""
        return Judgement(
            False, "kind.not reached", f"no push refreshes a subscription of kind {quoted(self.kind)}"
        )


@dataclass(frozen=True, slots=True)
class ExactTag:
    """Image strategy Digest: one mutable tag is followed; expressions and versions play no part."""

    followed: str

    def judge(self, tag: str) -> Judgement:
        """Say whether it is the tag that is followed."""
        if tag == self.followed:
            return Judgement(True, "digest.tag", f"tag {quoted(tag)} is the one that is followed")
        if not self.followed:
            return Judgement(
                False, "digest.tag", "the Digest strategy follows the tag in constraint, which is empty"
            )
        return Judgement(
            False, "digest.tag", f"tag {quoted(tag)} is not the one that is followed, {quoted(self.followed)}"
        )


@dataclass(frozen=True, slots=True)
class NamedRegex:
    """An expression with its text."""

    text: str
    compiled: Any

    def matches(self, tag: str) -> bool:
        """Say whether the expression is found anywhere in the tag."""
        return self.compiled.search(tag.encode("utf-8", "replace")) is not None


@dataclass(frozen=True, slots=True)
class Regexes:
    """Image strategies Lexical and NewestBuild, and the first step of SemVer: ignore beats allow."""

    allow: tuple[NamedRegex, ...] = ()
    ignore: tuple[NamedRegex, ...] = ()

    def judge(self, tag: str) -> Judgement:
        """Say whether the expressions let the tag through."""
        for regex in self.ignore:
            if regex.matches(tag):
                return Judgement(
                    False,
                    "regex.ignored",
                    f"tag {quoted(tag)} matches ignoreTagsRegexes {quoted(regex.text)}",
                )
        if not self.allow:
            return Judgement(
                True, "regex.any", f"tag {quoted(tag)} is not ignored, and any other tag will do"
            )
        for regex in self.allow:
            if regex.matches(tag):
                return Judgement(
                    True, "regex.allowed", f"tag {quoted(tag)} matches allowTagsRegexes {quoted(regex.text)}"
                )
        texts = listed([regex.text for regex in self.allow])
        none = "does not match" if len(self.allow) == 1 else "matches none of"
        return Judgement(False, "regex.not allowed", f"tag {quoted(tag)} {none} allowTagsRegexes {texts}")


@dataclass(frozen=True, slots=True)
class SemverTags:
    """Image strategy SemVer: the expressions first, then the version."""

    regexes: Regexes
    strict: bool
    constraint: Constraint | None

    def judge(self, tag: str) -> Judgement:
        """Say whether the tag is a version that the constraint admits."""
        passed = self.regexes.judge(tag)
        if not passed.matches:
            return passed
        version = parse_tag(tag, strict=self.strict)
        if version is None:
            return _not_a_version(tag)
        return judge_version(f"tag {quoted(tag)}", version, self.constraint)


@dataclass(frozen=True, slots=True)
class ChartVersions:
    """Charts: the tag is read leniently as a version."""

    constraint: Constraint | None

    def judge(self, tag: str) -> Judgement:
        """Say whether the tag is a version that the constraint admits."""
        version = parse_version(tag)
        if version is not None:
            return judge_version(f"chart version {quoted(tag)}", version, self.constraint)
        reason = f"chart version {quoted(tag)} is not a semantic version"
        if parse_version(tag.replace("_", "+")):
            reason += "; Helm pushes + as _, and Kargo does not turn it back here"
        return Judgement(False, "semver.not a version", reason)


@dataclass(frozen=True, slots=True)
class GitBranch:
    """Git strategy NewestFromBranch. An empty `branch` stands for the default branch, whose name nobody knows."""

    branch: str

    def judge(self, tag: str) -> Judgement:
        """Say whether the full name of a Git reference is that of the branch."""
        followed = {self.branch} if self.branch else _LIKELY_DEFAULT_BRANCHES
        if tag.startswith(BRANCHES) and tag.removeprefix(BRANCHES) in followed:
            return Judgement(True, "git.branch", f"{quoted(tag)} is the branch that is followed")
        branch = BRANCHES + (self.branch or "main")
        return Judgement(
            False, "git.branch", f"{quoted(tag)} is not {quoted(branch)}, which a Git subscription follows"
        )


@dataclass(frozen=True, slots=True)
class GitTags:
    """Git strategies Lexical, NewestTag and SemVer."""

    tags: Regexes | SemverTags

    def judge(self, tag: str) -> Judgement:
        """Say whether the full name of a Git reference is that of a tag which is selected."""
        if not tag.startswith(TAGS):
            return Judgement(False, "git.tag", f"{quoted(tag)} is not a Git tag, which begins with {TAGS}")
        return self.tags.judge(tag.removeprefix(TAGS))


def judge_version(subject: str, version: Version, constraint: Constraint | None) -> Judgement:
    """Judge a version, `subject` being how the sentence calls it."""
    if constraint is None:
        return Judgement(True, "semver.any", f"{subject} is a semantic version, and any will do")
    if constraint.admits(version):
        return Judgement(True, "semver.satisfied", f"{subject} satisfies {constraint.text}")
    if constraint.refuses_as_pre_release(version):
        return Judgement(
            False, "semver.pre-release", f"{subject} is a pre-release and {constraint.text} admits none"
        )
    return Judgement(False, "semver.refused", f"{subject} does not satisfy {constraint.refusal(version)}")


def _not_a_version(tag: str) -> Judgement:
    lenient = parse_version(tag)
    if lenient is None:
        return Judgement(False, "semver.not a version", f"tag {quoted(tag)} is not a semantic version")
    return Judgement(
        False,
        "semver.not strict",
        f"tag {quoted(tag)} is not a full semantic version like {lenient}, which strictSemvers asks for",
    )
