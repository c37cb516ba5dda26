"""Stages, Promotions, the status of Freight and the policies of auto-promotion, reduced to what kargoweb needs.

Decoding never raises on what an API server can hold: a missing or wrongly typed field becomes its empty value.

Source: `stage_types.go`, `promotion_types.go`, `freight_types.go` and `project_config_types.go` in Kargo's
`api/v1alpha1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import intern
from typing import Any, Final, TypeAlias

from receivers.kargo.artifacts import Artifact, decode_freight
from receivers.kargo.golang.goduration import parse_duration
from receivers.kargo.json_values import as_list, as_map, as_number, as_text
from receivers.kargo.resources import KARGO_GROUP, Condition, Resource, decode_conditions
from receivers.kargo.times import parse_time

STAGES: Final = Resource(KARGO_GROUP, "v1alpha1", "stages", "Stage", namespaced=True)
PROMOTIONS: Final = Resource(KARGO_GROUP, "v1alpha1", "promotions", "Promotion", namespaced=True)

STAGE_LABEL: Final = "kargo.akuity.io/stage"
"""Label of a Promotion; longer names are hashed there, and complete in the annotation of the same name."""
CREATOR_ANNOTATION: Final = "kargo.akuity.io/create-actor"

ULID_LENGTH: Final = 26  # characters
SUCCEEDED: Final = "Succeeded"
TERMINAL_PHASES: Final = frozenset({SUCCEEDED, "Failed", "Errored", "Aborted"})

StageKey: TypeAlias = tuple[str, str]
"""Project and name of a Stage."""

NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class FreightName:
    """How people know a piece of Freight: its name (40 hex characters), its alias, and the tag of its first artifact.

    `alias` and `tag` are empty if unknown.
    """

    name: str
    alias: str = ""
    tag: str = ""

    @property
    def label(self) -> str:
        """Return the shortest name that a person recognizes: the tag, the alias, or seven characters of the name."""
        return self.tag or self.alias or self.name[:7]


@dataclass(frozen=True, slots=True)
class Verification:
    """Freight that was verified in a Stage: first at `at`; `soaked` is the longest completed stay there."""

    at: datetime | None
    soaked: timedelta


@dataclass(frozen=True, slots=True)
class FreightStatus:
    """A piece of Freight with what Kargo notes about its way through the Stages.

    `project` is its namespace and `warehouse` its origin. Times have whole seconds and are None if unknown. The
    mappings are by name of a Stage: `currently_in` has the time since when; deleted Stages stay in it.
    """

    project: str
    name: str
    resource_version: str
    alias: str
    warehouse: str
    artifacts: tuple[Artifact, ...]
    created_at: datetime | None
    discovered_at: datetime | None
    currently_in: Mapping[str, datetime | None]
    verified_in: Mapping[str, Verification]
    approved_for: Mapping[str, datetime | None]

    @property
    def known_as(self) -> FreightName:
        """Return the names of this Freight."""
        return FreightName(self.name, self.alias, self.artifacts[0].tag if self.artifacts else "")


@dataclass(frozen=True, slots=True)
class FreightRequest:
    """One entry of a Stage's `spec.requestedFreight`: from which Warehouse, and what makes its Freight available.

    `direct`: all Freight is available. Otherwise it must be verified in one of `upstreams`, or in all of them with
    `all_upstreams`, and have stayed there for `soak`. `match_upstream`: only Freight that is currently in the upstream
    Stage is promoted automatically.
    """

    warehouse: str
    direct: bool
    upstreams: tuple[str, ...]
    soak: timedelta
    all_upstreams: bool
    match_upstream: bool


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a step of a Promotion: `Running`, `Succeeded`, `Failed`, `Errored`, `Aborted` or `Skipped`."""

    alias: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Promotion:
    """A Promotion of Freight to a Stage.

    `phase` is empty, `Pending`, `Running` or one of `TERMINAL_PHASES`. `warehouse` is the Freight's origin, empty until
    Kargo has noted it. `steps` are the aliases of the steps and `uses` their kinds, empty if unknown; `current_step`
    counts from 0. `actor` is who created it, empty if Kargo did so automatically.
    """

    project: str
    name: str
    resource_version: str
    stage: str
    freight: str
    warehouse: str
    phase: str
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    message: str
    actor: str
    steps: tuple[str, ...]
    uses: tuple[str, ...]
    current_step: int
    results: tuple[StepResult, ...]

    @property
    def order(self) -> str:
        """Return the key by which the Promotions of a Stage sort by their creation."""
        return creation_order(self.name)

    @property
    def is_terminal(self) -> bool:
        """Return whether the Promotion has ended."""
        return self.phase in TERMINAL_PHASES

    @property
    def failed_step(self) -> StepResult | None:
        """Return the result of the first step that failed, or None."""
        return next((result for result in self.results if result.status in {"Failed", "Errored"}), None)


def creation_order(promotion: str) -> str:
    """Return the key by which the names of a Stage's Promotions sort by their creation: the ULID in them.

    Names are `<stage>.<ulid>.<freight>`; for a Stage with targets, `<stage>.<target>.<ulid>.<freight>`.
    """
    *_, ulid, _ = ["", "", *promotion.rsplit(".", 2)]
    return ulid if len(ulid) == ULID_LENGTH else promotion


@dataclass(frozen=True, slots=True)
class Hold:
    """Auto-promotion of one Warehouse's Freight to a Stage is paused: the pinned Freight, by whom and since when."""

    freight: str
    actor: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A Stage.

    `control_flow`: it has no promotion template, so Freight only passes through. `history` has, newest first, the
    Freight by Warehouse that was promoted to the Stage. `verification` is the phase of the newest verification of the
    newest entry (empty: none), with its message. `next_open` belongs to a closed promotion window.
    """

    project: str
    name: str
    resource_version: str
    uid: str
    labels: Mapping[str, str]
    requests: tuple[FreightRequest, ...]
    control_flow: bool
    history: tuple[Mapping[str, FreightName], ...]
    verification: str
    verification_message: str
    current_promotion: str
    current_freight: str
    last_promotion: Promotion | None
    health: str
    health_issues: tuple[str, ...]
    conditions: tuple[Condition, ...]
    holds: Mapping[str, Hold]
    window_closed: bool
    window_reason: str
    next_open: datetime | None

    @property
    def key(self) -> StageKey:
        """Return project and name, which identify the Stage."""
        return self.project, self.name

    def request(self, warehouse: str) -> FreightRequest | None:
        """Return how this Stage requests the Freight of a Warehouse; None if it doesn't."""
        return next((request for request in self.requests if request.warehouse == warehouse), None)

    def current(self, warehouse: str) -> FreightName | None:
        """Return the Freight of a Warehouse that is in this Stage now, or None."""
        return self.history[0].get(warehouse) if self.history else None

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of this type, or None."""
        return next((condition for condition in self.conditions if condition.type == type_), None)


def actor_name(actor: str) -> str:
    """Return an actor without the kind that Kargo puts before it: `jane` for `kubernetes:jane`."""
    return actor.partition(":")[2] or actor


def decode_stage(raw: Mapping[str, Any]) -> Stage:
    """Decode a Stage as the API server sent it. Never raises."""
    metadata, spec, status = (as_map(raw.get(key)) for key in ("metadata", "spec", "status"))
    project = intern(as_text(metadata.get("namespace")))
    name = as_text(metadata.get("name"))
    history = [as_map(entry) for entry in as_list(status.get("freightHistory"))]
    newest = as_map(next(iter(as_list(history[0].get("verificationHistory"))), None)) if history else NOTHING
    current = as_map(status.get("currentPromotion"))
    health, window = as_map(status.get("health")), as_map(status.get("promotionWindowStatus"))
    return Stage(
        project=project,
        name=name,
        resource_version=as_text(metadata.get("resourceVersion")),
        uid=as_text(metadata.get("uid")),
        labels={str(key): as_text(value) for key, value in as_map(metadata.get("labels")).items()} or NOTHING,
        requests=tuple(_request(as_map(entry)) for entry in as_list(spec.get("requestedFreight"))),
        control_flow=not as_map(spec.get("promotionTemplate")),
        history=tuple(map(_collection, history)),
        verification=as_text(newest.get("phase")),
        verification_message=as_text(newest.get("message")),
        current_promotion=as_text(current.get("name")),
        current_freight=as_text(as_map(current.get("freight")).get("name")),
        last_promotion=_last_promotion(project, name, as_map(status.get("lastPromotion"))),
        health=intern(as_text(health.get("status"))),
        health_issues=tuple(map(as_text, as_list(health.get("issues")))),
        conditions=decode_conditions(status),
        holds={
            _origin_name(str(key)): _hold(as_map(entry))
            for key, entry in as_map(status.get("effectiveAutoPromotionHolds")).items()
        }
        or NOTHING,
        window_closed=window.get("closed") is True,
        window_reason=as_text(window.get("reason")),
        next_open=parse_time(as_text(window.get("nextOpen"))),
    )


def _request(raw: Mapping[str, Any]) -> FreightRequest:
    origin, sources = as_map(raw.get("origin")), as_map(raw.get("sources"))
    options = as_map(sources.get("autoPromotionOptions"))
    return FreightRequest(
        warehouse=as_text(origin.get("name")),
        direct=sources.get("direct") is True,
        upstreams=tuple(map(as_text, as_list(sources.get("stages")))),
        soak=parse_duration(as_text(sources.get("requiredSoakTime"))) or timedelta(),
        all_upstreams=sources.get("availabilityStrategy") == "All",
        match_upstream=options.get("selectionPolicy") == "MatchUpstream",
    )


def _origin_name(key: str) -> str:
    """Return the name of the Warehouse in a key like `Warehouse/app`."""
    return intern(key.rpartition("/")[2])


def _collection(raw: Mapping[str, Any]) -> Mapping[str, FreightName]:
    return {
        _origin_name(str(key)): _freight_name(as_map(freight))
        for key, freight in as_map(raw.get("items")).items()
    }


def _freight_name(raw: Mapping[str, Any]) -> FreightName:
    artifact = as_map(next(iter(as_list(raw.get("images")) or as_list(raw.get("charts"))), None))
    tag = as_text(artifact.get("tag")) or as_text(artifact.get("version"))
    return FreightName(intern(as_text(raw.get("name"))), tag=intern(tag))


def _hold(raw: Mapping[str, Any]) -> Hold:
    return Hold(
        freight=as_text(raw.get("freightName")) or as_text(as_map(raw.get("freight")).get("name")),
        actor=as_text(raw.get("actor")),
        created_at=parse_time(as_text(raw.get("createdAt"))),
    )


def _last_promotion(project: str, stage: str, raw: Mapping[str, Any]) -> Promotion | None:
    name = as_text(raw.get("name"))
    if not name:
        return None
    status = as_map(raw.get("status"))
    return _promotion(
        project=project,
        name=name,
        stage=stage,
        freight=as_text(as_map(raw.get("freight")).get("name")),
        status=status,
        finished_at=as_text(raw.get("finishedAt")) or as_text(status.get("finishedAt")),
    )


def decode_promotion(raw: Mapping[str, Any]) -> Promotion:
    """Decode a Promotion as the API server sent it. Never raises."""
    metadata, spec, status = (as_map(raw.get(key)) for key in ("metadata", "spec", "status"))
    steps = [as_map(step) for step in as_list(spec.get("steps"))]
    return _promotion(
        project=intern(as_text(metadata.get("namespace"))),
        name=as_text(metadata.get("name")),
        resource_version=as_text(metadata.get("resourceVersion")),
        stage=as_text(spec.get("stage")),
        freight=as_text(spec.get("freight")),
        status=status,
        created_at=as_text(metadata.get("creationTimestamp")),
        finished_at=as_text(status.get("finishedAt")),
        actor=as_text(as_map(metadata.get("annotations")).get(CREATOR_ANNOTATION)),
        steps=tuple(
            intern(as_text(step.get("as")) or f"step-{number}") for number, step in enumerate(steps, 1)
        ),
        uses=tuple(intern(as_text(step.get("uses"))) for step in steps),
    )


def _promotion(
    *,
    project: str,
    name: str,
    stage: str,
    freight: str,
    status: Mapping[str, Any],
    finished_at: str,
    resource_version: str = "",
    created_at: str = "",
    actor: str = "",
    steps: tuple[str, ...] = (),
    uses: tuple[str, ...] = (),
) -> Promotion:
    return Promotion(
        project=project,
        name=name,
        resource_version=resource_version,
        stage=intern(stage),
        freight=intern(freight),
        warehouse=intern(as_text(as_map(as_map(status.get("freight")).get("origin")).get("name"))),
        phase=intern(as_text(status.get("phase"))),
        created_at=parse_time(created_at),
        started_at=parse_time(as_text(status.get("startedAt"))),
        finished_at=parse_time(finished_at),
        message=as_text(status.get("message")),
        actor=actor,
        steps=steps,
        uses=uses,
        current_step=as_number(status.get("currentStep")),
        results=tuple(_result(as_map(entry)) for entry in as_list(status.get("stepExecutionMetadata"))),
    )


def _result(raw: Mapping[str, Any]) -> StepResult:
    return StepResult(
        alias=intern(as_text(raw.get("alias"))),
        status=intern(as_text(raw.get("status"))),
        message=as_text(raw.get("message")),
    )


def decode_freight_status(raw: Mapping[str, Any]) -> FreightStatus:
    """Decode a piece of Freight, with its status, as the API server sent it. Never raises."""
    freight, status = decode_freight(raw), as_map(raw.get("status"))
    return FreightStatus(
        project=intern(freight.project),
        name=intern(freight.name),
        resource_version=as_text(as_map(raw.get("metadata")).get("resourceVersion")),
        alias=freight.alias,
        warehouse=intern(freight.warehouse),
        artifacts=freight.artifacts,
        created_at=freight.created_at,
        discovered_at=parse_time(as_text(raw.get("discoveredAt"))) or freight.created_at,
        currently_in=_times(status.get("currentlyIn"), "since"),
        verified_in={
            intern(str(stage)): Verification(
                at=parse_time(as_text(as_map(entry).get("verifiedAt"))),
                soaked=parse_duration(as_text(as_map(entry).get("longestSoak"))) or timedelta(),
            )
            for stage, entry in as_map(status.get("verifiedIn")).items()
        }
        or NOTHING,
        approved_for=_times(status.get("approvedFor"), "approvedAt"),
    )


def _times(raw: Any, key: str) -> Mapping[str, datetime | None]:
    return {
        intern(str(stage)): parse_time(as_text(as_map(entry).get(key)))
        for stage, entry in as_map(raw).items()
    } or NOTHING
