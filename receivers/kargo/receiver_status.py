"""The status of a ProjectConfig or ClusterConfig as Kargo's management controller writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from receivers.kargo.resources import REFRESH_ANNOTATION, PublishedUrl

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"


def desired_status(
    raw: Mapping[str, Any], published: Sequence[PublishedUrl], problems: Sequence[str], now: str
) -> dict[str, Any]:
    """Return the status that the configuration `raw` should have; `now` (RFC 3339) is the time of transitions.

    `problems` has a sentence for every receiver without a URL. As in Kargo, the other receivers are published anyway;
    while there are problems, `observedGeneration` is not updated and `Reconciling` stays true.
    """
    metadata = raw["metadata"]
    before = raw.get("status") or {}
    generation = metadata.get("generation", 0)
    status = {key: value for key, value in before.items() if key not in {"webhookReceivers", "conditions"}}
    if published:
        status["webhookReceivers"] = [
            {"name": url.name, "path": url.path, "url": url.url} for url in published
        ]
    if not problems:
        status["observedGeneration"] = generation
    token = (metadata.get("annotations") or {}).get(REFRESH_ANNOTATION)
    if token is not None:
        status["lastHandledRefresh"] = token
    desired = _conditions(str(raw["kind"]), problems, generation)
    status["conditions"] = _with_transitions(before.get("conditions") or [], desired, now)
    return status


def _conditions(kind: str, problems: Sequence[str], generation: int) -> list[dict[str, Any]]:
    if not problems:
        return [_condition(READY, "True", "Synced", f"{kind} is synced and ready for use", generation)]
    message = f"Failed to sync WebhookReceivers: {_flattened(problems)}"
    return [
        _condition(READY, "False", "SyncWebhookReceiversFailed", message, generation),
        _condition(RECONCILING, "True", "SyncingWebhooks", "Syncing WebhookReceivers", generation),
    ]


def _condition(type_: str, status: str, reason: str, message: str, generation: int) -> dict[str, Any]:
    return {
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": generation,
    }  # fmt: skip


def _flattened(problems: Sequence[str]) -> str:
    """Return the errors as one string, formatted like Kubernetes' `errors.Aggregate`."""
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"


def _with_transitions(
    before: Sequence[Mapping[str, Any]], desired: Sequence[dict[str, Any]], now: str
) -> list[dict[str, Any]]:
    """Return the desired conditions; one whose status is unchanged keeps its last transition time.

    Conditions of other types are preserved.
    """
    old = {entry.get("type"): entry for entry in before}
    ours = {READY, RECONCILING}
    result = [dict(entry) for entry in before if entry.get("type") not in ours]
    for entry in desired:
        previous = old.get(entry["type"], {})
        unchanged_since = (
            previous.get("lastTransitionTime") if previous.get("status") == entry["status"] else None
        )
        result.append({**entry, "lastTransitionTime": unchanged_since or now})
    return result
