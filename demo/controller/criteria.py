"""Evaluate Freight creation criteria: the subset of expr-lang in Kargo's documentation.

That is `true`, `false`, and comparisons of strings and discovered artifacts, joined by `&&` or `||`:
`imageFrom("example/api").Tag == imageFrom("example/web").Tag`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from receivers.kargo.repository_names import normalize_chart, normalize_image

_CALL: Final = re.compile(r"""(imageFrom|chartFrom)\(\s*["']([^"']+)["']\s*\)\.(Tag|Digest|Version)""")
_TEXT: Final = re.compile(r"""["']([^"']*)["']""")
_COMPARISON: Final = re.compile(r"(.+?)(==|!=)(.+)")


class CriteriaError(Exception):
    """The expression cannot be evaluated. The message is the cause."""


def satisfied(expression: str, artifacts: Mapping[str, Any]) -> bool:
    """Return whether `status.discoveredArtifacts` satisfy an expression (empty: always). Raises `CriteriaError`."""
    if not expression.strip():
        return True
    return any(
        all(_holds(part.strip(), artifacts) for part in alternative.split("&&"))
        for alternative in expression.split("||")
    )


def _holds(part: str, artifacts: Mapping[str, Any]) -> bool:
    if part in {"true", "false"}:
        return part == "true"
    comparison = _COMPARISON.fullmatch(part)
    if not comparison:
        raise CriteriaError(f'error compiling expression: the demo does not support "{part}"')
    left, right = (_value(comparison[side].strip(), artifacts) for side in (1, 3))
    return (left == right) is (comparison[2] == "==")


def _value(operand: str, artifacts: Mapping[str, Any]) -> str:
    if text := _TEXT.fullmatch(operand):
        return text[1]
    call = _CALL.fullmatch(operand)
    if not call:
        raise CriteriaError(f'error compiling expression: the demo does not support "{operand}"')
    function, url, field = call.groups()
    value = _image(url, artifacts) if function == "imageFrom" else _chart(url, artifacts)
    if field.lower() not in value:
        raise CriteriaError(f'error running expression: {function}("{url}") has no {field}')
    return value[field.lower()]


def _image(url: str, artifacts: Mapping[str, Any]) -> dict[str, str]:
    for result in artifacts.get("images", ()):
        if normalize_image(result["repoURL"]) == normalize_image(url) and result["references"]:
            newest = result["references"][0]
            return {"tag": newest["tag"], "digest": newest["digest"]}
    return {}


def _chart(url: str, artifacts: Mapping[str, Any]) -> dict[str, str]:
    for result in artifacts.get("charts", ()):
        if normalize_chart(result["repoURL"]) == normalize_chart(url) and result["versions"]:
            return {"version": result["versions"][0]}
    return {}
