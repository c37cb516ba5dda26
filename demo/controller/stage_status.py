"""The conditions and the health of a Stage, as Kargo's Stage controller writes them.

Source: Kargo's `pkg/controller/stages/regular_stages.go`; a condition keeps the time of its first status there, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Condition = tuple[str, str, str, str]
"""Type, status, reason and message."""


def settled(raw: Mapping[str, Any], now: str, *, automatic: bool) -> dict[str, Any]:
    """Return health, conditions and the other fields that follow from the rest of a Stage's status."""
    status = raw.get("status") or {}
    conditions = _conditions(raw, status)
    return {
        "conditions": _with_times(conditions, status, raw["metadata"].get("generation", 1), now),
        "health": _health(status),
        "autoPromotionEnabled": True if automatic else None,
        "observedGeneration": raw["metadata"].get("generation", 1),
        "freightSummary": _summary(raw, status),
    }


def is_control_flow(raw: Mapping[str, Any]) -> bool:
    """Return whether Freight only passes through the Stage."""
    return not (raw.get("spec") or {}).get("promotionTemplate")


def last_promotion_failed(status: Mapping[str, Any]) -> bool:
    """Return whether the last Promotion did not succeed, so that the health of the Stage is unknown."""
    last = status.get("lastPromotion") or {}
    return bool(last) and (last.get("status") or {}).get("phase") != "Succeeded"


def verification_of(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the newest verification of the Freight in the Stage, or nothing."""
    history = status.get("freightHistory") or []
    return next(iter(history[0].get("verificationHistory") or []), {}) if history else {}


def _conditions(raw: Mapping[str, Any], status: Mapping[str, Any]) -> list[Condition]:
    if is_control_flow(raw):
        return [("Ready", "True", "Ready", "Stage is a control flow Stage")]
    active = (status.get("currentPromotion") or {}).get("name", "")
    healthy, verified = _healthy(status, active), _verified(status)
    conditions = [healthy, verified]
    if active:
        message = f'Promotion "{active}" is currently Running'
        conditions.append(("Promoting", "True", "ActivePromotion", message))
        ready: Condition = ("Ready", "False", "ActivePromotion", message)
    elif last_promotion_failed(status):
        last = status["lastPromotion"]["status"]
        ready = ("Ready", "False", f"LastPromotion{last['phase']}", last.get("message", ""))
    else:
        _, state, reason, message = next(
            (condition for condition in (healthy, verified) if condition[1] != "True"), verified
        )
        ready = ("Ready", "True" if state == "True" else "False", reason, message)
    return [ready, *conditions]


def _healthy(status: Mapping[str, Any], active: str) -> Condition:
    if active:
        return ("Healthy", "Unknown", "ActivePromotion", "Stage has a Promotion in progress")
    if not status.get("freightHistory"):
        return ("Healthy", "Unknown", "NoFreight", "Stage has no current Freight")
    if last_promotion_failed(status):
        phase = status["lastPromotion"]["status"]["phase"]
        return ("Healthy", "Unknown", f"LastPromotion{phase}", "Last Promotion did not succeed")
    return ("Healthy", "True", "Healthy", "Stage is healthy (performed 0 health checks)")


def _verified(status: Mapping[str, Any]) -> Condition:
    if not status.get("freightHistory"):
        return ("Verified", "Unknown", "NoFreight", "Stage has no current Freight to verify")
    newest = verification_of(status)
    if not newest:
        return ("Verified", "Unknown", "WaitingForVerification", "Waiting for verification to start")
    if newest["phase"] == "Successful":
        return ("Verified", "True", "Verified", "Freight has been verified")
    message = newest.get("message", "")
    return ("Verified", "False", f"Verification{newest['phase']}", message)


def _health(status: Mapping[str, Any]) -> dict[str, Any] | None:
    if not status.get("freightHistory"):
        return None
    if (status.get("currentPromotion") or {}).get("name"):
        issue = "Cannot assess health because a Promotion is currently in progress"
        return {"status": "Unknown", "issues": [issue]}
    if last_promotion_failed(status):
        return {
            "status": "Unknown",
            "issues": ["Cannot assess health because the last Promotion did not succeed"],
        }
    return {"status": "Healthy"}


def _summary(raw: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if is_control_flow(raw):
        return "N/A"
    wanted = len(raw["spec"].get("requestedFreight") or ())
    history = status.get("freightHistory") or []
    items = list(history[0]["items"].values()) if history else []
    return str(items[0]["name"]) if wanted == 1 and items else f"{len(items)}/{wanted} Fulfilled"


def _with_times(
    conditions: list[Condition], status: Mapping[str, Any], generation: int, now: str
) -> list[dict[str, Any]]:
    times = {entry.get("type"): entry.get("lastTransitionTime") for entry in status.get("conditions") or ()}
    return [
        {
            "type": type_,
            "status": state,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
            "lastTransitionTime": times.get(type_) or now,
        }
        for type_, state, reason, message in conditions
    ]
