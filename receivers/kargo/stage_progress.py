"""How far a piece of Freight is in the Stages: where it is since when, and what it waits for elsewhere.

Sources: Kargo's Stage and Promotion controllers (`pkg/controller/stages`, `pkg/controller/promotions`), and its rules of
availability and auto-promotion (`pkg/api/warehouse.go`, `pkg/api/auto_promotion.go`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from receivers.kargo.promotion_policies import ProjectPolicies
from receivers.kargo.stage_states import StageJourney, StageProgress
from receivers.kargo.stages import FreightStatus, Promotion, Stage


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What is known of a project at one moment.

    `freight` is that of one Warehouse, by name; `promotions` are by Stage and sorted by name. `complete`: nothing is
    missing. Without `policies`, nothing is promoted automatically.
    """

    stages: Mapping[str, Stage]
    freight: Mapping[str, FreightStatus]
    promotions: Mapping[str, Sequence[Promotion]]
    policies: ProjectPolicies | None
    now: datetime
    complete: bool = True


def assess_stage(pipeline: Pipeline, freight: FreightStatus, stage: Stage) -> StageProgress:
    """Return how far a piece of Freight is in a Stage."""
    raise NotImplementedError


def assess_journey(pipeline: Pipeline, freight: FreightStatus) -> StageJourney:
    """Return how far a piece of Freight is in all Stages of its Warehouse, upstream Stages first."""
    raise NotImplementedError
