"""The demo's Stages: Promotions, their steps, verification, soak time, failures and holds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from threading import Event
from typing import Any

import pytest

from demo.controller.behaviors import BEHAVIOR_ANNOTATION
from demo.controller.promotion_steps import ABORT_ANNOTATION
from demo.controller.stage_behaviors import StageBehavior, parse_stage_behavior
from demo.controller.stage_controller import StageController, raw_object
from receivers.cluster.errors import Forbidden, Rejected
from receivers.kargo.resources import FREIGHTS, PROJECT_CONFIGS, PROJECTS, Resource
from receivers.kargo.stages import CREATOR_ANNOTATION, PROMOTIONS, STAGES
from tests.clusters import until
from tests.demo.kargo import Kargo

_numbers = itertools.count(1)
ORIGIN = {"kind": "Warehouse", "name": "app"}
FAST = "step=0.05,verify=0"


class Line:
    """A project with Stages. `automatic` names those that Kargo promotes to."""

    def __init__(self, kargo: Kargo, *automatic: str) -> None:
        self.cluster = kargo.cluster
        self.project = f"line-{next(_numbers)}"
        self.create(PROJECTS, {"metadata": {"name": self.project}}, None)
        policies = [{"stageSelector": {"name": name}, "autoPromotionEnabled": True} for name in automatic]
        spec = {"promotionPolicies": policies}
        self.create(PROJECT_CONFIGS, {"metadata": {"name": self.project}, "spec": spec}, self.project)

    def create(self, resource: Resource, body: Mapping[str, Any], project: str | None) -> dict[str, Any]:
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        return self.cluster.create(resource, kind | dict(body), project)

    def stage(
        self, name: str, *upstreams: str, behavior: str = FAST, flow: bool = False, **sources: Any
    ) -> None:
        metadata = {"name": name, "annotations": {BEHAVIOR_ANNOTATION: behavior}}
        origins: dict[str, Any] = {"stages": list(upstreams)} if upstreams else {"direct": True}
        spec: dict[str, Any] = {"requestedFreight": [{"origin": ORIGIN, "sources": origins | sources}]}
        if not flow:
            steps = [{"uses": "git-clone", "as": "git-clone"}, {"uses": "git-push", "as": "git-push"}]
            spec["promotionTemplate"] = {"spec": {"steps": steps}}
        self.create(STAGES, {"metadata": metadata, "spec": spec}, self.project)

    def freight(self, name: str) -> None:
        body = {"metadata": {"name": name}, "alias": f"alias-{name}", "origin": ORIGIN}
        images = [{"repoURL": "example/app", "tag": name}]
        at = f"2026-01-01T00:00:0{name}Z"
        self.create(FREIGHTS, body | {"images": images, "discoveredAt": at}, self.project)

    def promote(self, stage: str, freight: str) -> str:
        body = {"metadata": {"generateName": "promo-"}, "spec": {"stage": stage, "freight": freight}}
        name: str = self.create(PROMOTIONS, body, self.project)["metadata"]["name"]
        return name

    def status(self, resource: Resource, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.cluster.get(resource, name, self.project).get("status") or {}
        return status

    def promotion_of(self, stage: str, freight: str) -> dict[str, Any] | None:
        """Return the newest Promotion of Freight to a Stage."""
        pages = self.cluster.list_pages(PROMOTIONS, self.project)
        theirs = [raw for page in pages for raw in page.items]
        wanted = {"stage": stage, "freight": freight}.items()
        promotions = sorted(
            (raw for raw in theirs if wanted <= raw["spec"].items()), key=lambda raw: raw["metadata"]["name"]
        )
        return promotions[-1] if promotions else None

    def phase(self, stage: str, freight: str) -> str:
        promotion = self.promotion_of(stage, freight)
        return str((promotion or {}).get("status", {}).get("phase", ""))

    def is_verified(self, stage: str, freight: str) -> bool:
        return stage in self.status(FREIGHTS, freight).get("verifiedIn", {})

    def holds(self, stage: str) -> str:
        """Return the name of the Freight in a Stage, or nothing."""
        history = self.status(STAGES, stage).get("freightHistory") or []
        return str(history[0]["items"]["Warehouse/app"]["name"]) if history else ""


def test_new_freight_goes_automatically_as_far_as_the_policies_say(kargo):
    line = Line(kargo, "test", "uat")
    line.stage("test")
    line.stage("uat", "test")
    line.stage("prod", "uat")
    line.freight("1")
    until("it is verified in uat", lambda: line.is_verified("uat", "1"))
    status = line.status(FREIGHTS, "1")
    assert set(status["currentlyIn"]) == {"test", "uat"}
    assert line.promotion_of("prod", "1") is None
    promotion = line.promotion_of("test", "1")
    assert promotion is not None
    assert promotion["metadata"]["name"].startswith("test.01")
    assert promotion["metadata"]["name"].endswith(".1")
    assert CREATOR_ANNOTATION not in promotion["metadata"]["annotations"]
    assert [step["status"] for step in promotion["status"]["stepExecutionMetadata"]] == ["Succeeded"] * 2
    until("the Stage is ready", lambda: _condition(line.status(STAGES, "uat"), "Ready") == "True/Verified")
    stage = line.status(STAGES, "uat")
    assert stage["lastPromotion"]["status"]["phase"] == "Succeeded"
    assert "currentPromotion" not in stage
    assert stage["health"] == {"status": "Healthy"}


def _condition(status: Mapping[str, Any], type_: str) -> str:
    conditions = {
        entry["type"]: f"{entry['status']}/{entry['reason']}" for entry in status.get("conditions", ())
    }
    return conditions.get(type_, "")


def test_a_running_promotion_shows_its_step(kargo):
    line = Line(kargo)
    line.stage("test", behavior="step=1000")
    line.freight("1")
    name = line.promote("test", "1")
    until("it runs", lambda: line.status(PROMOTIONS, name).get("stepExecutionMetadata"))
    status = line.status(PROMOTIONS, name)
    assert (status["phase"], status["stepExecutionMetadata"][0]["status"]) == ("Running", "Running")
    assert line.status(STAGES, "test")["currentPromotion"]["name"] == name
    second = line.promote("test", "1")
    until("the second one waits", lambda: line.status(PROMOTIONS, second).get("phase") == "Pending")
    abort = {ABORT_ANNOTATION: '{"action":"terminate","actor":"kubernetes:jane"}'}
    line.cluster.patch(PROMOTIONS, name, line.project, {"metadata": {"annotations": abort}})
    until("it is aborted", lambda: line.status(PROMOTIONS, name)["phase"] == "Aborted")
    assert "kubernetes:jane" in line.status(PROMOTIONS, name)["message"]
    until("the second one runs", lambda: line.status(PROMOTIONS, second)["phase"] == "Running")


def test_freight_that_the_watch_does_not_have_yet_is_promoted(kargo):
    kargo.stop()  # only the controller below acts, which learns nothing of Freight
    try:
        line = Line(kargo)
        line.stage("test", behavior="step=1000")
        line.freight("1")
        name = line.promote("test", "1")
        controller = StageController(kargo.cluster)
        for resource, known in ((STAGES, "test"), (PROMOTIONS, name)):
            raw = line.cluster.get(resource, known, line.project)
            controller._apply(resource, [(None, raw_object(raw, None))])
        while controller._pass(Event()) == 0:
            pass
        assert line.status(PROMOTIONS, name)["phase"] == "Running"
    finally:
        kargo.start()


def test_a_failing_step_is_not_repeated_before_the_next_promotion(kargo):
    line = Line(kargo, "test")
    line.stage("test", behavior=f"{FAST},fail-step=git-push")
    line.freight("1")
    until("it has failed", lambda: line.phase("test", "1") == "Failed")
    promotion = line.promotion_of("test", "1")
    assert promotion is not None
    assert "branch is protected" in promotion["status"]["message"]
    until(
        "the Stage says so",
        lambda: _condition(line.status(STAGES, "test"), "Ready") == "False/LastPromotionFailed",
    )
    assert line.holds("test") == ""
    fixed = {"metadata": {"annotations": {BEHAVIOR_ANNOTATION: FAST}}}
    line.cluster.patch(STAGES, "test", line.project, fixed)
    line.promote("test", "1")
    until("it is there", lambda: line.is_verified("test", "1"))
    assert "message" not in line.status(STAGES, "test")["lastPromotion"]["status"]


def test_newer_freight_replaces_it(kargo):
    line = Line(kargo, "test")
    line.stage("test")
    line.freight("1")
    until("the first is verified", lambda: line.is_verified("test", "1"))
    line.freight("2")
    until("the second is verified", lambda: line.is_verified("test", "2"))
    until("the first has left", lambda: "test" not in line.status(FREIGHTS, "1").get("currentlyIn", {}))
    assert "longestSoak" in line.status(FREIGHTS, "1")["verifiedIn"]["test"]
    assert len(line.status(STAGES, "test")["freightHistory"]) == 2


def test_freight_needs_its_soak_time(kargo):
    line = Line(kargo, "test", "soon", "late")
    line.stage("test")
    line.stage("soon", "test", requiredSoakTime="1s")
    line.stage("late", "test", requiredSoakTime="1h")
    line.freight("1")
    until("it is in the Stage with the short time", lambda: line.is_verified("soon", "1"))
    assert line.promotion_of("late", "1") is None
    with pytest.raises(Rejected, match="Freight is not available to this Stage"):
        line.promote("late", "1")


def test_a_failed_verification_ends_the_way(kargo):
    line = Line(kargo, "test", "uat")
    line.stage("test", behavior=f"{FAST},fail-verification")
    line.stage("uat", "test")
    line.freight("1")
    failed = "False/VerificationFailed"
    until("it has failed", lambda: _condition(line.status(STAGES, "test"), "Verified") == failed)
    assert line.holds("test") == "1"
    assert not line.is_verified("test", "1")
    assert line.promotion_of("uat", "1") is None


def test_a_control_flow_stage_passes_freight_on(kargo):
    line = Line(kargo, "test", "prod")
    line.stage("test")
    line.stage("gate", "test", flow=True)
    line.stage("prod", "gate")
    line.freight("1")
    until("it is in prod", lambda: line.holds("prod") == "1")
    with pytest.raises(Rejected, match="control flow"):
        line.promote("gate", "1")


def test_promoting_older_freight_pauses_the_automatic(kargo):
    line = Line(kargo, "test")
    line.stage("test")
    line.freight("1")
    until("the first is verified", lambda: line.is_verified("test", "1"))
    line.freight("2")
    until("the second is verified", lambda: line.is_verified("test", "2"))
    line.promote("test", "1")
    until("the first is back", lambda: line.holds("test") == "1")
    hold = line.status(STAGES, "test")["effectiveAutoPromotionHolds"]["Warehouse/app"]
    assert (hold["freightName"], hold["actor"]) == ("1", "kubernetes:admin")
    line.promote("test", "2")
    until("the second is back", lambda: line.holds("test") == "2")
    assert not line.status(STAGES, "test").get("effectiveAutoPromotionHolds")


def test_an_approval_makes_freight_available(kargo):
    line = Line(kargo)
    line.stage("test")
    line.stage("prod", "test")
    line.freight("1")
    approved = {"status": {"approvedFor": {"prod": {"approvedAt": "2026-01-01T00:00:09Z"}}}}
    line.cluster.patch_status(FREIGHTS, "1", line.project, approved)
    line.promote("prod", "1")
    until("it is there", lambda: line.is_verified("prod", "1"))


@pytest.mark.parametrize(
    ("stage", "freight", "problem"),
    [("missing", "1", "Stage not found"), ("test", "missing", "Freight not found")],
)
def test_a_promotion_of_what_does_not_exist_is_refused(kargo, stage, freight, problem):
    line = Line(kargo)
    line.stage("test")
    line.freight("1")
    with pytest.raises(Rejected, match=problem):
        line.promote(stage, freight)


def test_a_promotion_cannot_be_changed(kargo):
    line = Line(kargo)
    line.stage("test")
    line.freight("1")
    name = line.promote("test", "1")
    with pytest.raises(Forbidden, match="immutable"):
        line.cluster.patch(PROMOTIONS, name, line.project, {"spec": {"freight": "2"}})


def test_promotions_continue_after_a_restart_of_the_controller(kargo):
    line = Line(kargo)
    line.stage("test", behavior="step=1,verify=0")
    line.freight("1")
    name = line.promote("test", "1")
    until("it runs", lambda: line.status(PROMOTIONS, name).get("phase") == "Running")
    kargo.stop()
    kargo.start()
    until("it is there", lambda: line.is_verified("test", "1"))


@pytest.mark.parametrize(
    ("text", "behavior"),
    [
        ("", StageBehavior()),
        ("step=2, verify=5", StageBehavior(step=2.0, verification=5.0)),
        (
            "fail-step=git-push,fail-verification",
            StageBehavior(fail_step="git-push", fails_verification=True),
        ),
        ("step=x,unknown", StageBehavior()),
    ],
)
def test_the_annotation(text, behavior):
    assert parse_stage_behavior(text) == behavior
