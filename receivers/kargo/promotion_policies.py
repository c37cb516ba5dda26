"""The policies of a ProjectConfig that say which Stages Kargo promotes to automatically.

A Stage's `status.autoPromotionEnabled` lags behind them by up to five minutes, so it is not used.

Source: `IsAutoPromotionEnabled` in Kargo's `pkg/api/auto_promotion.go`, and `pkg/pattern`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo.golang.goregexp import InvalidRegex, RegexTooComplex, compile_regex
from receivers.kargo.json_values import as_list, as_map, as_text
from receivers.kargo.path_selectors import GLOB, REGEXES

_SPECIAL: Final = frozenset(".*?+()|^$\\{}[]")


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One requirement of a label selector. `operator` is `In`, `NotIn`, `Exists` or `DoesNotExist`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet the requirement; with an unknown operator they never do."""
        match self.operator:
            case "In":
                return self.key in labels and labels[self.key] in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
        return False


@dataclass(frozen=True, slots=True)
class PromotionPolicy:
    """One entry of `spec.promotionPolicies`: a Stage matches by name (empty: any) and by all label rules."""

    name: str
    labels: tuple[LabelRule, ...]
    automatic: bool

    def selects(self, stage: str, labels: Mapping[str, str]) -> bool:
        """Return whether the policy applies to a Stage with this name and these labels."""
        return (not self.name or name_matches(self.name, stage)) and all(
            rule.matches(labels) for rule in self.labels
        )


def is_automatic(policies: Iterable[PromotionPolicy], stage: str, labels: Mapping[str, str]) -> bool:
    """Return whether Kargo promotes to a Stage automatically. The first policy that selects it decides."""
    return next((policy.automatic for policy in policies if policy.selects(stage, labels)), False)


def name_matches(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern: exact, `glob:`, `regex:` or `regexp:`. An invalid one never does."""
    try:
        if pattern.startswith(GLOB):
            return compile_regex(_glob_regex(pattern.removeprefix(GLOB))).search(name) is not None
        for prefix in REGEXES:
            if pattern.startswith(prefix):
                return compile_regex(pattern.removeprefix(prefix)).search(name) is not None
    except (InvalidRegex, RegexTooComplex):
        return False
    return pattern == name


def _glob_regex(glob: str) -> str:
    """Return the regular expression of a doublestar glob for names, which contain no slash."""
    parts, at, depth = ["^"], 0, 0
    while at < len(glob):
        char = glob[at]
        if char == "\\" and at + 1 < len(glob):
            at += 1
            parts.append(_quoted(glob[at]))
        elif char == "[" and "]" in glob[at + 2 :]:
            end = glob.index("]", at + 2)
            parts.append(_glob_class(glob[at + 1 : end]))
            at = end
        elif char == "{":
            depth += 1
            parts.append("(?:")
        elif char in ",}" and depth:
            depth -= char == "}"
            parts.append("|" if char == "," else ")")
        else:
            parts.append({"*": ".*", "?": "."}.get(char) or _quoted(char))
        at += 1
    return "".join(parts) + "$"


def _glob_class(content: str) -> str:
    negated = content[0] in "!^"
    return f"[{'^' if negated else ''}{content[negated:]}]"


def _quoted(char: str) -> str:
    return f"\\{char}" if char in _SPECIAL else char


def decode_policies(entries: Any) -> tuple[PromotionPolicy, ...]:
    """Decode `spec.promotionPolicies` of a ProjectConfig. Never raises."""
    return tuple(_policy(as_map(entry)) for entry in as_list(entries))


def _policy(raw: Mapping[str, Any]) -> PromotionPolicy:
    selector = as_map(raw.get("stageSelector"))
    exact = (
        LabelRule(str(key), "In", (as_text(value),))
        for key, value in as_map(selector.get("matchLabels")).items()
    )
    expressions = (
        LabelRule(
            as_text(rule.get("key")),
            as_text(rule.get("operator")),
            tuple(map(as_text, as_list(rule.get("values")))),
        )
        for rule in map(as_map, as_list(selector.get("matchExpressions")))
    )
    return PromotionPolicy(
        name=as_text(selector.get("name")) if selector else as_text(raw.get("stage")),
        labels=(*exact, *expressions),
        automatic=raw.get("autoPromotionEnabled") is True,
    )
