"""Stages, Freight and Promotions for tests of the rules, built as the API server sends them.

pipeline = Pipelines()
pipeline.stage("test", direct=True).stage("uat", "test", soak="10s")
pipeline.freight("f1", at=0).enter("test", "f1", at=5, verified=True)
pipeline.assess("f1", "uat").state
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from receivers.kargo.promotion_policies import PromotionPolicy
from receivers.kargo.stage_progress import Pipeline, assess_journey
from receivers.kargo.stage_states import StageJourney, StageProgress
from receivers.kargo.stages import decode_freight_status, decode_promotion, decode_stage

START = datetime(2026, 3, 12, 13, 0, tzinfo=UTC)
ORIGIN = {"kind": "Warehouse", "name": "app"}
STEPS = ("clone", "commit", "push")


def at(seconds: float) -> datetime:
    """Return a time this many seconds after the start."""
    return START + timedelta(seconds=seconds)


def text(seconds: float) -> str:
    """Return that time as Kubernetes writes it."""
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pipelines:
    """A project `shop` with a Warehouse `app`. `now` is in seconds after the start."""

    def __init__(self, *automatic: str, now: float = 1000) -> None:
        self.now = now
        self.automatic = automatic
        self.stages: dict[str, dict[str, Any]] = {}
        self.freights: dict[str, dict[str, Any]] = {}
        self.promotions: dict[str, dict[str, Any]] = {}

    def stage(self, name: str, *upstreams: str, flow: bool = False, **sources: Any) -> Self:
        """Add a Stage that takes Freight of `app` from other Stages; `soak`, `direct` and the like go to `sources`."""
        soak = {"requiredSoakTime": sources.pop("soak")} if "soak" in sources else {}
        origin = {"kind": "Warehouse", "name": sources.pop("warehouse", "app")}
        request = {"origin": origin, "sources": {"stages": list(upstreams), **soak, **sources}}
        spec: dict[str, Any] = {"requestedFreight": [request]}
        if not flow:
            spec["promotionTemplate"] = {"spec": {"steps": [{"uses": step, "as": step} for step in STEPS]}}
        self.stages[name] = {"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": {}}
        return self

    def freight(self, name: str, discovered: float = 0, **status: Any) -> Self:
        """Add Freight. Its tag is its name."""
        self.freights[name] = {
            "metadata": {"name": name, "namespace": "shop", "creationTimestamp": text(discovered)},
            "alias": f"alias-{name}",
            "origin": ORIGIN,
            "discoveredAt": text(discovered),
            "images": [{"repoURL": "shop/app", "tag": name}],
            "status": {"currentlyIn": {}, "verifiedIn": {}, "approvedFor": {}, **status},
        }
        return self

    def status(self, stage: str, **fields: Any) -> Self:
        """Set fields of the status of a Stage."""
        self.stages[stage]["status"].update(fields)
        return self

    def enter(
        self, stage: str, freight: str, since: float, *, verified: bool = True, promotion: bool = True
    ) -> Self:
        """Let Freight enter a Stage, as after a successful Promotion. What was there before leaves."""
        status = self.stages[stage]["status"]
        history = status.setdefault("freightHistory", [])
        for other in self.freights.values():
            entered = other["status"]["currentlyIn"].pop(stage, None)
            if entered and stage in other["status"]["verifiedIn"]:
                stay = at(since) - datetime.fromisoformat(entered["since"])
                other["status"]["verifiedIn"][stage]["longestSoak"] = f"{stay.total_seconds()}s"
        item = {"name": freight, "origin": ORIGIN, "images": [{"repoURL": "shop/app", "tag": freight}]}
        verification = [{"phase": "Successful"}] if verified else []
        history.insert(0, {"items": {"Warehouse/app": item}, "verificationHistory": verification})
        entering = self.freights[freight]["status"]
        entering["currentlyIn"][stage] = {"since": text(since)}
        if verified:
            entering["verifiedIn"][stage] = {"verifiedAt": text(since + 1)}
        status["health"] = {"status": "Healthy"}
        if promotion:
            self.promote(stage, freight, "Succeeded", since)
        return self

    def promote(self, stage: str, freight: str, phase: str, when: float = 0, **status: Any) -> Self:
        """Add a Promotion; if it has ended, note it in the Stage."""
        name = f"{stage}.{int(when):06}.{freight}"
        ended = phase in {"Succeeded", "Failed", "Errored", "Aborted"}
        times = {"startedAt": text(when)} if phase not in {"", "Pending"} else {}
        times |= {"finishedAt": text(when)} if ended else {}
        body = {"phase": phase, **times, **status} if phase else {}
        self.promotions[name] = {
            "metadata": {"name": name, "namespace": "shop", "creationTimestamp": text(when)},
            "spec": {
                "stage": stage,
                "freight": freight,
                "steps": [{"as": step, "uses": step} for step in STEPS],
            },
            "status": body,
        }
        mine = self.stages[stage]["status"]
        if ended:
            reference = {"name": freight, "origin": ORIGIN}
            mine["lastPromotion"] = {
                "name": name,
                "freight": reference,
                "finishedAt": text(when),
                "status": body,
            }
        elif phase == "Running":
            mine["currentPromotion"] = {"name": name, "freight": {"name": freight}}
        return self

    def build(self) -> Pipeline:
        """Return the pipeline."""
        promotions: dict[str, list[Any]] = {}
        for name in sorted(self.promotions):
            promotion = decode_promotion(self.promotions[name])
            promotions.setdefault(promotion.stage, []).append(promotion)
        return Pipeline(
            stages={name: decode_stage(raw) for name, raw in self.stages.items()},
            freight={name: decode_freight_status(raw) for name, raw in self.freights.items()},
            promotions=promotions,
            policies=tuple(PromotionPolicy(name, (), automatic=True) for name in self.automatic),
            now=at(self.now),
        )

    def assess(self, freight: str, stage: str) -> StageProgress:
        """Return how far Freight is in a Stage."""
        [progress] = [node.progress for node in self.journey(freight).nodes if node.name == stage]
        return progress

    def journey(self, freight: str) -> StageJourney:
        """Return how far Freight is in all Stages."""
        pipeline = self.build()
        return assess_journey(pipeline, pipeline.freight[freight])
