"""Compiles the fields of a subscription to its selector, with the checks that Kargo performs.

What Kargo rejects becomes a `BrokenSelector` with a sentence that says what is wrong and what to use instead. Regular
expressions are not compiled here: their selectors do so when they are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from receivers.kargo import expressions
from receivers.kargo.constraints import Constraint, InvalidConstraint, parse_constraint
from receivers.kargo.expressions import CannotEvaluate, InvalidExpression
from receivers.kargo.golang import gourl
from receivers.kargo.kargo_rules import KargoRules
from receivers.kargo.path_selectors import path_selector
from receivers.kargo.quoting import quoted
from receivers.kargo.repository_names import OCI_NAME, normalize_image, parse_reference
from receivers.kargo.selectors import (
    BrokenSelector,
    ChartSelector,
    ExactTag,
    ExactTagSelector,
    GitBranchSelector,
    GitSelector,
    GitTagSelector,
    RegexSelector,
    Selector,
    SemverSelector,
    TagRegex,
)

_CACHE_SIZE: Final = 4096  # selectors

_IMAGE_STRATEGIES: Final = frozenset({"", "SemVer", "Digest", "Lexical", "NewestBuild"})
_BRANCH_STRATEGIES: Final = frozenset({"", "NewestFromBranch"})
_GIT_STRATEGIES: Final = _BRANCH_STRATEGIES | {"SemVer", "Lexical", "NewestTag"}

# oras-go 2.6 `registry.ParseReference`: stricter than what images are parsed with.
_OCI_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_OCI_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


class InvalidSubscription(ValueError):
    """A subscription that Kargo rejects: the code of the rule, and a sentence."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


def image_selector(fields: Mapping[str, Any], rules: KargoRules) -> Selector:
    """Return the selector of an image subscription with these fields, by the rules of Kargo's version."""
    return _or_broken(_image_selector, fields, rules)


def chart_selector(fields: Mapping[str, Any], rules: KargoRules) -> Selector:
    """Return the selector of a chart subscription with these fields; the rules of all versions are the same."""
    return _or_broken(_chart_selector, fields, rules)


def git_selector(fields: Mapping[str, Any], rules: KargoRules) -> Selector:
    """Return the selector of a Git subscription with these fields, by the rules of Kargo's version.

    `expressionFilter` is checked, but not evaluated, as in Kargo: a push does not name what it is about.
    """
    return _or_broken(_git_selector, fields, rules)


def _or_broken(
    compile_fields: Callable[[Mapping[str, Any], KargoRules], Selector],
    fields: Mapping[str, Any],
    rules: KargoRules,
) -> Selector:
    try:
        return compile_fields(fields, rules)
    except InvalidSubscription as error:
        return BrokenSelector(error.rule, str(error))


def _image_selector(fields: Mapping[str, Any], rules: KargoRules) -> Selector:
    strategy = fields.get("imageSelectionStrategy", "")
    _check_strategy("imageSelectionStrategy", strategy, _IMAGE_STRATEGIES)
    _check_platform(fields.get("platform", ""))
    _check_image_url(fields.get("repoURL", ""))
    # Up to 1.8, `semverConstraint` is a field of images, too; see `fields_of`.
    field = "constraint" if fields.get("constraint") else "semverConstraint"
    constraint = fields.get(field, "")
    if strategy == "Digest":
        return ExactTagSelector(constraint)
    regexes = _regexes(fields, rules)
    if strategy in {"Lexical", "NewestBuild"}:
        return regexes
    return _semver_tags(regexes, bool(fields.get("strictSemvers")), _constraint(field, constraint))


def _chart_selector(fields: Mapping[str, Any], _: KargoRules) -> Selector:
    url = fields.get("repoURL", "")
    if not url.startswith(("http://", "https://", "oci://")):
        raise InvalidSubscription(
            "chart.invalid_url", f"repoURL {quoted(url)} must begin with oci://, https:// or http://"
        )
    constraint = _constraint("semverConstraint", fields.get("semverConstraint", ""))
    if url.startswith("oci://"):
        _check_oci_url(url)
    return _chart_versions(constraint)


def _git_selector(fields: Mapping[str, Any], rules: KargoRules) -> Selector:
    _check_expression(fields.get("expressionFilter", ""))
    paths = path_selector(fields.get("includePaths", ()), fields.get("excludePaths", ()))
    return GitSelector(_reference_selector(fields, rules), paths)


def _reference_selector(fields: Mapping[str, Any], rules: KargoRules) -> GitBranchSelector | GitTagSelector:
    strategy = fields.get("commitSelectionStrategy", "")
    _check_strategy("commitSelectionStrategy", strategy, _GIT_STRATEGIES)
    if strategy in _BRANCH_STRATEGIES:
        return GitBranchSelector(fields.get("branch", ""))
    regexes = _regexes(fields, rules)
    if strategy != "SemVer":
        return GitTagSelector(regexes)
    constraint = _constraint("semverConstraint", fields.get("semverConstraint", ""))
    return GitTagSelector(_semver_tags(regexes, bool(fields.get("strictSemvers")), constraint))


def _regexes(fields: Mapping[str, Any], rules: KargoRules) -> RegexSelector:
    if rules >= KargoRules.FROM_1_11:
        for legacy, replacement in (("allowTags", "allowTagsRegexes"), ("ignoreTags", "ignoreTagsRegexes")):
            if fields.get(legacy):
                raise InvalidSubscription(
                    f"{legacy}.removed", f"{legacy} was removed in Kargo 1.11; use {replacement} instead"
                )
    return _regex_selector(
        fields.get("allowTagsRegexes", ()),
        fields.get("ignoreTagsRegexes", ()),
        fields.get("allowTags", ""),
        fields.get("ignoreTags", ()),
    )


@lru_cache(_CACHE_SIZE)
def _regex_selector(
    allow: tuple[str, ...], ignore: tuple[str, ...], allow_tags: str, ignore_tags: tuple[str, ...]
) -> RegexSelector:
    allowed = [TagRegex("allowTagsRegexes", text) for text in allow]
    if allow_tags:
        allowed.append(TagRegex("allowTags", allow_tags))
    ignored = [TagRegex("ignoreTagsRegexes", text) for text in ignore]
    return RegexSelector(tuple(allowed), (*ignored, *map(ExactTag, ignore_tags)))


@lru_cache(_CACHE_SIZE)
def _semver_tags(regexes: RegexSelector, strict: bool, constraint: Constraint | None) -> SemverSelector:
    return SemverSelector(regexes, strict, constraint)


@lru_cache(_CACHE_SIZE)
def _chart_versions(constraint: Constraint | None) -> ChartSelector:
    return ChartSelector(constraint)


def _constraint(field: str, text: str) -> Constraint | None:
    try:
        return parse_constraint(text) if text else None
    except InvalidConstraint as error:
        raise InvalidSubscription(
            "constraint.invalid", f"{field} {quoted(text)} isn't valid: {error}"
        ) from error


def _check_strategy(field: str, strategy: str, known: frozenset[str]) -> None:
    if strategy not in known:
        names = ", ".join(sorted(known - {""}))
        raise InvalidSubscription(
            "strategy.unknown", f"{field} {quoted(strategy)} is unknown; use one of {names}"
        )


def _check_expression(expression: str) -> None:
    """Check the syntax of `expressionFilter`. What is beyond the evaluator here may be valid in Kargo."""
    if not expression:
        return
    try:
        expressions.read(expression)
    except InvalidExpression as error:
        raise InvalidSubscription(
            "expression.invalid", f"expressionFilter {quoted(expression)} isn't valid: {error}"
        ) from error
    except CannotEvaluate:
        return


def _check_platform(platform: str) -> None:
    if platform and "/" not in platform:
        raise InvalidSubscription(
            "platform.invalid", f"platform {quoted(platform)} must have the form os/arch, such as linux/amd64"
        )


def _check_image_url(repo_url: str) -> None:
    if parse_reference(normalize_image(repo_url)) is None:
        raise InvalidSubscription(
            "image.invalid_url", f"repoURL {quoted(repo_url)} is not an image repository"
        )


def _check_oci_url(url: str) -> None:
    if not _is_oci_reference(url.removeprefix("oci://")):
        raise InvalidSubscription(
            "chart.invalid_url",
            f"repoURL {quoted(url)} is not an OCI repository; use oci://host/path in lower case",
        )


def _is_oci_reference(artifact: str) -> bool:
    host, _, path = artifact.partition("/")
    before, at, digest = path.partition("@")
    name, colon, tag = before.partition(":")
    if not host or not gourl.is_host(host) or not OCI_NAME.fullmatch(name):
        return False
    if at:
        return not digest or bool(_OCI_DIGEST.fullmatch(digest))
    return not colon or not tag or bool(_OCI_TAG.fullmatch(tag))
