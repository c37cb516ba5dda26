"""Promotions, reduced to what webhooks need: those that wait for a pull request.

Source: `pkg/indexer` in Kargo, the index of running Promotions by the URL of the pull request they wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from receivers.kargo.json_values import as_list, as_map, as_text
from receivers.kargo.resources import WarehouseKey

_WAIT_FOR_PR: Final = "git-wait-for-pr"


@dataclass(frozen=True, slots=True)
class PromotionTarget:
    """A Promotion: its labels, and the pull requests that it waits for."""

    project: str
    name: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    pull_requests: tuple[str, ...] = ()

    @property
    def key(self) -> WarehouseKey:
        """Return project and name."""
        return self.project, self.name


def decode_target(raw: Mapping[str, Any]) -> PromotionTarget:
    """Decode a Promotion as the API server sent it. Never raises."""
    metadata, spec, status = (as_map(raw.get(key)) for key in ("metadata", "spec", "status"))
    labels = as_map(metadata.get("labels"))
    return PromotionTarget(
        project=as_text(metadata.get("namespace")),
        name=as_text(metadata.get("name")),
        labels=MappingProxyType({key: as_text(value) for key, value in labels.items()}),
        pull_requests=tuple(_pull_requests(spec, status)),
    )


def waiting_for(url: str, promotions: Iterable[PromotionTarget]) -> tuple[WarehouseKey, ...]:
    """Return the keys of the Promotions that wait for the pull request with exactly this URL, sorted."""
    return tuple(sorted(each.key for each in promotions if url in each.pull_requests))


def _pull_requests(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterable[str]:
    """Yield the URLs of the pull requests that the steps up to the current one wait for."""
    if status.get("phase") != "Running":
        return
    current, state = status.get("currentStep", 0), as_map(status.get("state"))
    for position, step in enumerate(map(as_map, as_list(spec.get("steps")))):
        alias = as_text(step.get("as"))
        if step.get("uses") != _WAIT_FOR_PR or not alias:
            continue
        if isinstance(current, int) and position > current:
            return
        if url := as_text(as_map(as_map(state.get(alias)).get("pr")).get("url")):
            yield url
