"""Fields of subscriptions that Kargo ignores: it stores every field that it does not know, without a warning."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from receivers.kargo.golang.gojson import fold
from receivers.kargo.kargo_rules import LATEST, KargoRules
from receivers.kargo.quoting import quoted
from receivers.kargo.similar_names import similar_names
from receivers.kargo.subscription_fields import fields_of

MOST: Final = 5  # fields of one subscription; anybody may write thousands

_FIELDS: Final = {kind: fields_of(kind, LATEST) for kind in ("image", "chart", "git")}
_FOLDED: Final = {
    (rules, kind): frozenset(map(fold, fields_of(kind, rules))) for rules in KargoRules for kind in _FIELDS
}
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
_RECEIVERS: Final = "spec.webhookReceivers of the ProjectConfig"
_REPOSITORY: Final = dict.fromkeys(("repo", "repository", "url", "image"), "repoURL")

# Fields of earlier versions, of other tools and of wrong examples, in lower case, with what is read today.
_CURRENT: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "image": {
            **_REPOSITORY,
            "semverconstraint": "constraint",
            "tagselectionstrategy": "imageSelectionStrategy",
            "tagselection": "allowTagsRegexes",
            "tag": "constraint with imageSelectionStrategy: Digest",
            "webhook": _RECEIVERS,
        },
        "chart": {
            **_REPOSITORY,
            "constraint": "semverConstraint",
            "version": "semverConstraint",
            "chart": "name",
            "webhook": _RECEIVERS,
        },
        "git": {**_REPOSITORY, "constraint": "semverConstraint", "webhook": _RECEIVERS},
    }
)
_TAG_RULES: Final = frozenset({"allowTags", "allowTagsRegexes", "ignoreTags", "ignoreTagsRegexes"})
# Source: Kargo's `pkg/image/*_selector.go`. Not `strictSemvers`: Kargo itself sets it everywhere.
_WITHOUT_EFFECT: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"Digest": _TAG_RULES, "Lexical": frozenset({"constraint"}), "NewestBuild": frozenset({"constraint"})}
)


def unread_fields(
    kind: str, raw: Mapping[str, Any], fields: Mapping[str, Any], rules: KargoRules
) -> tuple[str, ...]:
    """Return the names of the fields, as written, of a subscription that Kargo ignores, `MOST` at most.

    `raw` has the fields as written, and `fields` those that Kargo reads, with their values. Empty fields don't count.
    """
    folded = _FOLDED[rules, kind]
    unknown = [
        str(name)
        for name, value in raw.items()
        if name not in fields and value not in _EMPTY and fold(str(name)) not in folded
    ]
    ineffective = _WITHOUT_EFFECT.get(_strategy(kind, fields), frozenset())
    return tuple([*unknown, *(name for name in fields if name in ineffective and fields[name])][:MOST])


def explain_unread(kind: str, names: Collection[str], strategy: str) -> str:
    """Return a sentence, without its full stop, about the ignored fields of a subscription, and what to use instead."""
    return "; ".join(_explain(kind, name, strategy) for name in names)


def _explain(kind: str, name: str, strategy: str) -> str:
    if name in _WITHOUT_EFFECT.get(strategy, ()):
        return f"{name} has no effect with imageSelectionStrategy {strategy}"
    instead = _instead(kind, name)
    return f"Kargo does not read {quoted(name)}" + (f", use {instead}" if instead else "")


def _instead(kind: str, name: str) -> str:
    """Return what to use instead of an unknown field; empty if unknown."""
    if current := _CURRENT[kind].get(name.lower()):
        return current
    lowercase = {known.lower(): known for known in _FIELDS[kind]}
    return next((lowercase[similar] for similar in similar_names(name.lower(), tuple(lowercase))), "")


def _strategy(kind: str, fields: Mapping[str, Any]) -> str:
    return str(fields.get("imageSelectionStrategy", "")) if kind == "image" else ""
