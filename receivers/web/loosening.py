"""How to change a subscription so that it selects a pushed tag which it rejects, where that is safe.

A change is safe if everything that was selected before still is, and if its effect can be said in a sentence. Each
proposed change was evaluated with the selector that it leads to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from receivers.kargo.constraints import Constraint, InvalidConstraint, parse_constraint
from receivers.kargo.selectors import (
    ChartSelector,
    ExactTag,
    RegexSelector,
    Selector,
    SemverSelector,
    TagRegex,
)
from receivers.kargo.semver import Version, parse_tag, parse_version
from receivers.kargo.subscriptions import Subscription

MOST_CHANGES: Final = 3  # of one subscription: an ignore rule, an allow rule and the constraint

# What a literal tag in a regular expression may contain besides escaped characters
_LITERAL: Final = re.compile(r"\^?((?:[\w-]|\\[.+-]|\[\.\])+)\$?", re.ASCII)
_ANCHORED: Final = re.compile(r"\^.*\$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A change of one field of a subscription. `before` is None if the field is not set; `after` None removes it."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Loosening:
    """Changes that make a subscription select a tag, and sentences about what else they do.

    `selector` is that of the changed subscription.
    """

    changes: tuple[FieldChange, ...]
    consequences: tuple[str, ...]
    selector: Selector

    def also_selects(self, tags: Sequence[str], subscription: Subscription) -> tuple[str, ...]:
        """Return those of the tags that the subscription selects only after the change, in the same order."""
        return tuple(
            tag
            for tag in tags
            if self.selector.evaluate(tag).matches and not subscription.selector.evaluate(tag).matches
        )


def loosen(subscription: Subscription, tag: str) -> Loosening | None:
    """Return how to make a subscription to images or charts select a tag; None if it does, or if no way is safe.

    The `Digest` strategy tracks one tag, which another one would replace, so there is no safe way.
    """
    selector = subscription.selector
    if not tag or selector.defect() or selector.evaluate(tag).matches:
        return None
    changes: list[FieldChange] = []
    consequences: list[str] = []
    for _ in range(MOST_CHANGES):
        step = _step(selector, tag)
        if step is None:
            return None
        change, consequence, selector = step
        changes.append(change)
        consequences.append(consequence)
        if selector.evaluate(tag).matches:
            return Loosening(tuple(changes), tuple(consequences), selector)
    return None


_Step = tuple[FieldChange, str, Selector]


def _step(selector: Selector, tag: str) -> _Step | None:
    """Return the change for the first rule that rejects the tag, what it means, and the selector after it."""
    match selector:
        case RegexSelector():
            return _regex_step(selector, tag)
        case SemverSelector():
            return _semver_step(selector, tag)
        case ChartSelector():
            version = parse_version(tag)
            step = _constraint_step("semverConstraint", selector.constraint, version)
            return (step[0], step[1], ChartSelector(step[2])) if step else None
    return None


def _semver_step(selector: SemverSelector, tag: str) -> _Step | None:
    if not selector.regexes.evaluate(tag).matches:
        step = _regex_step(selector.regexes, tag)
        return (step[0], step[1], replace(selector, regexes=step[2])) if step else None
    if parse_version(tag) is None:
        return None
    if parse_tag(tag, strict=selector.strict) is None:
        change = FieldChange("strictSemvers", before=True, after=False)
        text = "Tags such as v1 and 1.2, which leave out numbers, count as versions, too."
        return change, text, replace(selector, strict=False)
    constraint_step = _constraint_step(
        "constraint", selector.constraint, parse_tag(tag, strict=selector.strict)
    )
    return (
        (constraint_step[0], constraint_step[1], replace(selector, constraint=constraint_step[2]))
        if constraint_step
        else None
    )


def _constraint_step(
    field: str, constraint: Constraint | None, version: Version | None
) -> tuple[FieldChange, str, Constraint] | None:
    """Return the constraint with one more alternative, and what it admits."""
    if constraint is None or version is None:
        return None
    for alternative, admitted in _alternatives(version):
        text = f"{constraint.text.strip()} || {alternative}"
        try:
            loosened = parse_constraint(text)
        except InvalidConstraint:  # too long, or too many alternatives
            return None
        if loosened.allows(version):
            return FieldChange(field, constraint.text, text), f"It also admits {admitted}.", loosened
    return None


def _alternatives(version: Version) -> Iterator[tuple[str, str]]:
    """Yield constraints that admit a version, the one that people mean first, with what they admit in words."""
    if version.pre:
        # Only a comparison that names a pre-release admits any; see `Constraint.allows`.
        yield (
            f"^{version}",
            f"{version} and all later versions up to the next {_level(version)}, pre-releases included",
        )
    elif version.major:
        yield f"^{version.major}.0.0", f"all versions {version.major}.x.y"
    elif version.minor:
        yield f"~0.{version.minor}.0", f"all versions 0.{version.minor}.x"
    yield f"={version}", f"{version}, and no other version"


def _level(version: Version) -> str:
    return "major version" if version.major else "minor version"


def _regex_step(selector: RegexSelector, tag: str) -> tuple[FieldChange, str, RegexSelector] | None:
    ignoring = next((rule for rule in selector.ignore if rule.matches(tag)), None)
    if ignoring is not None:
        return _without(selector, ignoring, tag)
    if not selector.allow or any(rule.field != "allowTagsRegexes" for rule in selector.allow):
        return None  # `allowTags` is one expression, which cannot be extended in general
    # RE2 needs no backslash before a dash, and people write none.
    literal = re.escape(tag).replace("\\-", "-")
    added = TagRegex("allowTagsRegexes", f"^{literal}$")
    texts = [rule.text for rule in selector.allow]
    change = FieldChange("allowTagsRegexes", texts, [*texts, added.text])
    return (
        change,
        f"It also admits {tag}, and no other tag.",
        replace(selector, allow=(*selector.allow, added)),
    )


def _without(
    selector: RegexSelector, rule: TagRegex | ExactTag, tag: str
) -> tuple[FieldChange, str, RegexSelector] | None:
    """Return the selector without an ignore rule, if that rule ignores nothing but this tag."""
    if isinstance(rule, TagRegex) and not _means_only(rule.text, tag):
        return None
    left = tuple(other for other in selector.ignore if other != rule)
    before = [other.text for other in selector.ignore if other.field == rule.field]
    after = [other.text for other in left if other.field == rule.field]
    change = FieldChange(rule.field, before, after or None)
    return change, f"{tag} is no longer ignored; other tags are not affected.", replace(selector, ignore=left)


def _means_only(expression: str, tag: str) -> bool:
    """Say whether an anchored regular expression is this tag, literally."""
    if not _ANCHORED.fullmatch(expression):
        return False
    literal = _LITERAL.fullmatch(expression)
    return literal is not None and literal[1].replace("[.]", ".").replace("\\", "") == tag
