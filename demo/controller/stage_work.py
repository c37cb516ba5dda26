"""One step of a Stage of the demo: run its Promotions, verify Freight, and promote automatically.

Every pass does at most one thing, the first that is due, and derives everything from the objects. So it can be
interrupted at any time.

Source: Kargo's `pkg/controller/stages`, `pkg/controller/promotions` and `pkg/api/auto_promotion.go`.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from demo.apiserver.promotions import AUTOMATIC
from demo.controller.behaviors import BEHAVIOR_ANNOTATION
from demo.controller.discovery import rfc3339
from demo.controller.promotion_steps import advance, begin, freight_reference, origin_of
from demo.controller.stage_behaviors import parse_stage_behavior
from demo.controller.stage_status import is_control_flow, last_promotion_failed, settled, verification_of
from receivers.kargo.promotion_policies import PromotionPolicy, is_automatic
from receivers.kargo.resources import FREIGHTS, Resource
from receivers.kargo.stage_availability import missing_for
from receivers.kargo.stage_progress import newest_first
from receivers.kargo.stages import (
    CREATOR_ANNOTATION,
    PROMOTIONS,
    STAGES,
    TERMINAL_PHASES,
    FreightStatus,
    Stage,
    decode_freight_status,
    decode_stage,
)

IDLE: Final = math.inf
HISTORY: Final = 10  # entries of `freightHistory`

Raw = Mapping[str, Any]
Patch = Callable[[Resource, Raw, Mapping[str, Any]], None]
"""Write part of the status of an object."""
Read = Callable[[Resource, str, str], Raw | None]
"""Read an object by its name and project; None if there is none."""


@dataclass(frozen=True, slots=True)
class ProjectObjects:
    """The objects of a project at one moment, by name."""

    stages: Mapping[str, Raw]
    freight: Mapping[str, Raw]
    promotions: Mapping[str, Raw]
    policies: tuple[PromotionPolicy, ...]


class StageWork:
    """One pass over a Stage."""

    def __init__(
        self,
        raw: Raw,
        objects: ProjectObjects,
        patch: Patch,
        create: Callable[[Raw, str], None],
        read: Read,
    ) -> None:
        self._raw = raw
        self._objects = objects
        self._patch = patch
        self._create = create
        self._read = read
        self._status: Mapping[str, Any] = raw.get("status") or {}
        self._name: str = raw["metadata"]["name"]
        self._project: str = raw["metadata"]["namespace"]
        self._now = time.time()
        self._due = IDLE
        annotations = raw["metadata"].get("annotations") or {}
        self._behavior = parse_stage_behavior(annotations.get(BEHAVIOR_ANNOTATION, ""))
        self._stage = decode_stage(raw)
        self._automatic = not is_control_flow(raw) and is_automatic(
            objects.policies, self._name, self._stage.labels
        )
        self._promotions = [
            objects.promotions[name]
            for name in sorted(objects.promotions)
            if objects.promotions[name]["spec"]["stage"] == self._name
        ]

    def run(self) -> float:
        """Do the first thing that is due. Return the seconds until the next; 0 if something was done."""
        steps = (
            (self._pass_through, self._settle)
            if is_control_flow(self._raw)
            else (
                self._finish,
                self._advance,
                self._sync_freight,
                self._verify,
                self._start,
                self._settle,
                self._promote,
            )
        )
        for step in steps:
            if step():
                return 0.0
        return self._due

    def _wait(self, seconds: float) -> None:
        self._due = min(self._due, max(0.05, seconds))

    def _pass_through(self) -> bool:
        """Verify available Freight: a control flow Stage has nothing else to do with it."""
        for raw, _ in self._available():
            if self._name not in (raw.get("status") or {}).get("verifiedIn", {}):
                self._patch(FREIGHTS, raw, {"verifiedIn": {self._name: {"verifiedAt": rfc3339(self._now)}}})
                return True
        return False

    def _finish(self) -> bool:
        """Note in the Stage that its current Promotion has ended."""
        active = (self._status.get("currentPromotion") or {}).get("name")
        if not active:
            return False
        promotion = self._objects.promotions.get(active)
        if promotion is None:
            self._patch(STAGES, self._raw, {"currentPromotion": None})
            return True
        if _phase(promotion) not in TERMINAL_PHASES:
            return False
        status = promotion["status"]
        changes: dict[str, Any] = {
            "currentPromotion": None,
            "lastPromotion": {
                "name": active,
                "freight": status.get("freight") or {"name": promotion["spec"]["freight"]},
                "finishedAt": status.get("finishedAt"),
                "status": status,
            },
        }
        if _phase(promotion) == "Succeeded":
            history = list(self._status.get("freightHistory") or ())
            items = {**(history[0]["items"] if history else {}), **status["freightCollection"]["items"]}
            changes["freightHistory"] = [{"id": uuid.uuid4().hex, "items": items}, *history][:HISTORY]
        self._patch(STAGES, self._raw, _replacing(self._status, changes))
        return True

    def _advance(self) -> bool:
        """Run the steps of the running Promotion, and mark those that wait as pending."""
        for promotion in self._promotions:
            if not _phase(promotion):
                self._patch(PROMOTIONS, promotion, {"phase": "Pending"})
                return True
        running = next((candidate for candidate in self._promotions if _phase(candidate) == "Running"), None)
        if running is None:
            return False
        status, seconds = advance(running, self._behavior, self._now)
        if status != running["status"]:
            self._patch(PROMOTIONS, running, status)
            return True
        self._wait(seconds)
        return False

    def _current(self) -> Mapping[str, Raw]:
        """Return what the Stage notes of its Freight, by origin."""
        history = self._status.get("freightHistory") or []
        items: Mapping[str, Raw] = history[0]["items"] if history else {}
        return items

    def _sync_freight(self) -> bool:
        """Note in the status of Freight that it is in the Stage, or isn't any more."""
        current = {item["name"] for item in self._current().values()}
        for name, raw in self._objects.freight.items():
            status = raw.get("status") or {}
            entry = (status.get("currentlyIn") or {}).get(self._name)
            if name in current and entry is None:
                self._patch(FREIGHTS, raw, {"currentlyIn": {self._name: {"since": rfc3339(self._now)}}})
                return True
            if name not in current and entry is not None:
                changes: dict[str, Any] = {"currentlyIn": {self._name: None}}
                if self._name in (status.get("verifiedIn") or {}):
                    since = datetime.fromisoformat(entry["since"]).timestamp()
                    soak = f"{self._now - since:.6f}s"
                    changes["verifiedIn"] = {self._name: {"longestSoak": soak}}
                self._patch(FREIGHTS, raw, changes)
                return True
        return False

    def _verify(self) -> bool:
        """Verify the Freight in the Stage after a while."""
        items = self._current()
        if not items or self._status.get("currentPromotion") or last_promotion_failed(self._status):
            return False
        newest = verification_of(self._status)
        if not newest:
            return self._end_verification(items)
        if newest["phase"] != "Successful":
            return False
        for item in items.values():
            raw = self._objects.freight.get(item["name"])
            if raw is not None and self._name not in (raw.get("status") or {}).get("verifiedIn", {}):
                verified = {self._name: {"verifiedAt": newest["finishTime"]}}
                self._patch(FREIGHTS, raw, {"verifiedIn": verified})
                return True
        return False

    def _end_verification(self, items: Mapping[str, Raw]) -> bool:
        last = (self._status.get("lastPromotion") or {}).get("finishedAt") or rfc3339(self._now)
        started = datetime.fromisoformat(last).timestamp()
        left = started + self._behavior.verification - self._now
        if left > 0:
            self._wait(left)
            return False
        verification = {
            "id": str(uuid.uuid4()),
            "phase": "Failed" if self._behavior.fails_verification else "Successful",
            "startTime": last,
            "finishTime": rfc3339(self._now),
        }
        if self._behavior.fails_verification:
            verification["message"] = "AnalysisRun smoke-test failed: 3 of 5 requests returned 503"
        history = list(self._status["freightHistory"])
        history[0] = {**history[0], "verificationHistory": [verification]}
        self._patch(STAGES, self._raw, {"freightHistory": history})
        return True

    def _start(self) -> bool:
        """Start the oldest Promotion, once the Freight in the Stage has been verified."""
        if self._status.get("currentPromotion") or any(
            _phase(promotion) == "Running" for promotion in self._promotions
        ):
            return self._adopt()
        pending = next((promotion for promotion in self._promotions if _phase(promotion) == "Pending"), None)
        if pending is None:
            return False
        verifying = self._current() and not verification_of(self._status)
        if verifying and not last_promotion_failed(self._status):
            return False
        name = pending["spec"]["freight"]
        # The watch of Freight may be behind that of Promotions.
        freight = self._objects.freight.get(name) or self._read(FREIGHTS, name, self._project)
        if freight is None:
            message = f"Freight {name} not found"
            ended = {"phase": "Errored", "finishedAt": rfc3339(self._now), "message": message}
            self._patch(PROMOTIONS, pending, ended)
            return True
        reference = {"name": pending["metadata"]["name"], "freight": freight_reference(freight)}
        self._patch(STAGES, self._raw, {"currentPromotion": reference, **self._holds(pending, freight)})
        self._patch(PROMOTIONS, pending, begin(pending, freight, self._now))
        return True

    def _adopt(self) -> bool:
        """Go on with a Promotion whose start was interrupted."""
        active = (self._status.get("currentPromotion") or {}).get("name", "")
        promotion = self._objects.promotions.get(active)
        if promotion is not None and _phase(promotion) == "Pending":
            freight = self._objects.freight.get(promotion["spec"]["freight"])
            if freight is not None:
                self._patch(PROMOTIONS, promotion, begin(promotion, freight, self._now))
                return True
        return False

    def _holds(self, promotion: Raw, freight: Raw) -> Mapping[str, Any]:
        """Return the change of holds when a person promotes: anything but the newest Freight pauses the automatic."""
        metadata, origin = promotion["metadata"], origin_of(freight)
        actor = (metadata.get("annotations") or {}).get(CREATOR_ANNOTATION)
        if not actor or not self._automatic:
            return {}
        candidate = self._candidates().get(origin)
        hold: dict[str, Any] | None = None
        if candidate is not None and candidate["metadata"]["name"] != freight["metadata"]["name"]:
            hold = {
                "origin": freight["origin"],
                "freightName": freight["metadata"]["name"],
                "promotionName": metadata["name"],
                "actor": actor,
                "createdAt": rfc3339(self._now),
            }
        elif origin not in (self._status.get("autoPromotionHolds") or {}):
            return {}
        return {"autoPromotionHolds": {origin: hold}, "effectiveAutoPromotionHolds": {origin: hold}}

    def _settle(self) -> bool:
        """Write the conditions and the health."""
        wanted = settled(self._raw, rfc3339(self._now), automatic=self._automatic)
        changed = {key: value for key, value in wanted.items() if self._status.get(key) != value}
        if changed:
            self._patch(STAGES, self._raw, _replacing(self._status, changed))
        return bool(changed)

    def _promote(self) -> bool:
        """Create a Promotion of the newest available Freight, if the Stage is automatic."""
        if not self._automatic:
            return False
        held = self._status.get("effectiveAutoPromotionHolds") or {}
        for origin, freight in self._candidates().items():
            name = freight["metadata"]["name"]
            current = self._current().get(origin)
            if origin in held or (current is not None and current["name"] == name):
                continue
            phases = [
                _phase(candidate) for candidate in self._promotions if candidate["spec"]["freight"] == name
            ]
            if phases and phases[-1] != "Succeeded":  # still running, or failed, which Kargo never repeats
                continue
            metadata = {"generateName": "promo-", "annotations": {AUTOMATIC: "true"}}
            promotion = {
                "apiVersion": PROMOTIONS.api_version,
                "kind": PROMOTIONS.kind,
                "metadata": metadata,
                "spec": {"stage": self._name, "freight": name},
            }
            self._create(promotion, self._project)
            return True
        return False

    def _candidates(self) -> dict[str, Raw]:
        """Return the newest available Freight by origin."""
        candidates: dict[str, Raw] = {}
        for raw, _ in sorted(self._available(), key=lambda pair: newest_first(pair[1])):
            candidates[origin_of(raw)] = raw
        return candidates

    def _available(self) -> Sequence[tuple[Raw, FreightStatus]]:
        """Return the Freight that may be promoted to the Stage, and note when more of it may be."""
        now = datetime.fromtimestamp(self._now, UTC)
        stages = self._decoded_upstreams()
        available = []
        for raw in self._objects.freight.values():
            freight = decode_freight_status(raw)
            request = self._stage.request(freight.warehouse)
            if request is None:
                continue
            missing = missing_for(freight, self._stage, request, stages, now)
            if missing is None:
                available.append((raw, freight))
            elif missing.until is not None:
                self._wait(missing.until.timestamp() - self._now)
        return available

    def _decoded_upstreams(self) -> dict[str, Stage]:
        names = {name for request in self._stage.requests for name in request.upstreams}
        return {
            name: decode_stage(self._objects.stages[name]) for name in names if name in self._objects.stages
        }


def _replacing(status: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that sets these fields of a status, and leaves the others."""
    return {key: replaced(status.get(key), value) for key, value in fields.items()}


def replaced(old: Any, new: Any) -> Any:
    """Return the merge patch that replaces these fields: what `new` lacks is removed."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        removed = {key: None for key in old if key not in new}
        return removed | {key: replaced(old.get(key), value) for key, value in new.items()}
    return new


def _phase(promotion: Raw) -> str:
    return str((promotion.get("status") or {}).get("phase", ""))
