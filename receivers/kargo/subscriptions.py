"""One entry of a Warehouse's `spec.subscriptions`, decoded and compiled once.

Ten thousand Warehouses are in memory, so equal subscriptions share their selector and texts.

Source: `WarehouseSpec.UnmarshalJSON` in Kargo's `api/v1alpha1`; field names match in any case, as in Go.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from receivers.kargo import selector_compiler
from receivers.kargo.kargo_rules import LATEST, KargoRules
from receivers.kargo.repository_names import (
    git_near_key,
    is_docker_hub,
    near_key,
    normalize_chart,
    normalize_git,
    normalize_image,
    split_host,
)
from receivers.kargo.selectors import BrokenSelector, Selector, UnsupportedSelector
from receivers.kargo.subscription_fields import WrongType, fields_of, read_fields
from receivers.kargo.unread_fields import unread_fields

_NAME: Final = "name"
_DEFAULT_STRATEGIES: Final = {"image": "SemVer", "chart": "SemVer"}
_KINDS: Final = {
    "image": (normalize_image, selector_compiler.image_selector),
    "chart": (normalize_chart, selector_compiler.chart_selector),
    "git": (normalize_git, selector_compiler.git_selector),
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription: its repository and its selector.

    `kind` is the type key as written (`image`, `chart`, `git`, ...); `name` may be empty; `repo_url` is as written.
    `repository` is the normalized name that a push is matched against (empty if Kargo does not index it), `near_key`
    the name for near misses (see `repository_names.near_key`). `strategy`, `limit` (0: not set) and `platform` decide
    which of the selected tags Kargo keeps, and in which order. `unread` has the fields that Kargo ignores.
    """

    kind: str
    name: str
    repo_url: str
    repository: str
    near_key: str
    selector: Selector
    strategy: str = ""
    limit: int = 0
    platform: str = ""
    unread: tuple[str, ...] = ()


def decode_subscription(raw: Any, rules: KargoRules = LATEST) -> Subscription:
    """Decode one entry of `spec.subscriptions` by the rules of Kargo's version.

    Never raises: an invalid entry gets a `BrokenSelector`.
    """
    try:
        return _decoded(raw, rules)
    except WrongType as error:
        return _broken(raw, str(error))


def _decoded(raw: Any, rules: KargoRules) -> Subscription:
    kind = _kind_of(raw)
    name = raw.get(_NAME)
    if name is not None and not isinstance(name, str):
        raise WrongType("name must be a string")
    if kind not in _KINDS or raw[kind] is None:
        return _subscription(kind, name or "", "", UnsupportedSelector(kind))
    _, compile_selector = _KINDS[kind]
    fields = read_fields(raw[kind], fields_of(kind, rules))
    subscription = _subscription(
        kind, name or "", fields.get("repoURL", ""), compile_selector(fields, rules), fields
    )
    unread = unread_fields(kind, raw[kind], fields, rules)
    return replace(subscription, unread=unread) if unread else subscription


def _broken(raw: Any, reason: str) -> Subscription:
    """Return what is readable of a subscription that Kargo cannot decode, so that a push still gets a verdict."""
    entry = raw if isinstance(raw, Mapping) else {}
    kind = next((key for key in entry if key in _KINDS), "")
    fields = entry.get(kind)
    url = fields.get("repoURL") if isinstance(fields, Mapping) else None
    name = entry.get(_NAME)
    return _subscription(
        kind,
        name if isinstance(name, str) else "",
        url if isinstance(url, str) else "",
        BrokenSelector("subscription.invalid", f"Kargo cannot decode this subscription: {reason}"),
    )


def _kind_of(raw: Any) -> str:
    if not isinstance(raw, Mapping):
        raise WrongType("it must be an object")
    kinds = [str(key) for key in raw if key != _NAME]
    if len(kinds) != 1:
        actual = ", ".join(kinds) or "none"
        raise WrongType(
            f"it must have exactly one kind (image, chart, git, ...) besides name, but it has {actual}"
        )
    return kinds[0]


def _subscription(
    kind: str, name: str, repo_url: str, selector: Selector, fields: Mapping[str, Any] = MappingProxyType({})
) -> Subscription:
    normalize = _KINDS[kind][0] if kind in _KINDS else None
    repository = normalize(repo_url) if normalize and repo_url else ""
    return Subscription(
        kind=sys.intern(kind),
        name=sys.intern(name),
        repo_url=sys.intern(repo_url),
        repository=sys.intern(repository),
        near_key=sys.intern(_near_key(kind, repo_url)),
        selector=selector,
        strategy=sys.intern(fields.get("imageSelectionStrategy", "") or _DEFAULT_STRATEGIES.get(kind, "")),
        limit=fields.get("discoveryLimit", 0),
        platform=sys.intern(fields.get("platform", "")),
    )


def _near_key(kind: str, repo_url: str) -> str:
    """Return the key for near misses: empty for charts that are not in an OCI registry."""
    if kind == "git":
        return git_near_key(repo_url)
    scheme, separator, rest = repo_url.lower().rpartition("://")
    is_web = separator and scheme != "oci" and not is_docker_hub(split_host(rest)[0])
    if kind == "image" or (kind == "chart" and not is_web):
        return near_key(repo_url)
    return ""
