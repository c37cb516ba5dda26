"""The status of a running Promotion of the demo: its steps take a fixed time each, and one of them may fail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from demo.controller.discovery import rfc3339
from demo.controller.stage_behaviors import StageBehavior

ABORT_ANNOTATION: Final = "kargo.akuity.io/abort"
FAILURES: Final[Mapping[str, str]] = {
    "git-push": "remote rejected refs/heads/env/{stage} (pre-receive hook declined: branch is protected)",
    "argocd-update": "Argo CD Application argocd/{stage} is not authorized to be updated by Stage {stage}",
}
"""Messages of steps that fail, by alias."""


def begin(promotion: Mapping[str, Any], freight: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the status of a Promotion that starts to run."""
    reference = freight_reference(freight)
    return {
        "phase": "Running",
        "startedAt": rfc3339(now),
        "freight": reference,
        "freightCollection": {"id": "demo", "items": {origin_of(freight): reference}},
    }


def advance(
    promotion: Mapping[str, Any], behavior: StageBehavior, now: float
) -> tuple[dict[str, Any], float]:
    """Return the status of a running Promotion at this time, and the seconds until it changes."""
    spec, status = promotion["spec"], promotion["status"]
    if abort := (promotion["metadata"].get("annotations") or {}).get(ABORT_ANNOTATION):
        return _ended(status, "Aborted", f"Promotion terminated by {_actor(abort)}", now), 0.0
    started = datetime.fromisoformat(status["startedAt"]).timestamp()
    steps = [step["as"] for step in spec["steps"]]
    begun = [started + number * behavior.step for number in range(len(steps) + 1)]
    done = sum(at <= now for at in begun[1:])
    failing = steps.index(behavior.fail_step) if behavior.fail_step in steps else len(steps)
    results = [
        {
            "alias": alias,
            "status": "Succeeded",
            "startedAt": rfc3339(begun[number]),
            "finishedAt": rfc3339(begun[number + 1]),
        }
        for number, alias in enumerate(steps[: min(done, failing)])
    ]
    if failing < done:
        message = f'step "{steps[failing]}": {_failure(steps[failing], spec["stage"])}'
        times = {"startedAt": rfc3339(begun[failing]), "finishedAt": rfc3339(begun[failing + 1])}
        results.append({"alias": steps[failing], "status": "Failed", "message": message, **times})
        results += [{"alias": alias, "status": "Skipped"} for alias in steps[failing + 1 :]]
        ended = _ended(status, "Failed", message, now)
    elif done == len(steps):
        ended = _ended(status, "Succeeded", "", now)
    else:
        results.append({"alias": steps[done], "status": "Running", "startedAt": rfc3339(begun[done])})
        progress = {**status, "currentStep": done, "stepExecutionMetadata": results}
        return progress, max(0.05, begun[done + 1] - now)
    return ended | {"currentStep": len(steps) - 1, "stepExecutionMetadata": results}, 0.0


def origin_of(freight: Mapping[str, Any]) -> str:
    """Return the key of the Freight's origin, such as `Warehouse/app`."""
    return f"{freight['origin']['kind']}/{freight['origin']['name']}"


def freight_reference(freight: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the status of Stages and Promotions notes of a piece of Freight."""
    contents = {key: freight[key] for key in ("images", "charts", "commits") if key in freight}
    return {"name": freight["metadata"]["name"], "origin": freight["origin"], **contents}


def _ended(status: Mapping[str, Any], phase: str, message: str, now: float) -> dict[str, Any]:
    ended = {**status, "phase": phase, "finishedAt": rfc3339(now)}
    return ended | ({"message": message} if message else {})


def _failure(alias: str, stage: str) -> str:
    return FAILURES.get(alias, "exit status 1").format(stage=stage)


def _actor(abort: str) -> str:
    return abort.partition('"actor":"')[2].partition('"')[0] or "kubernetes:admin"
