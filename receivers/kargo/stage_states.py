"""How far a piece of Freight is in a Stage: the states and what belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from receivers.kargo.stages import FreightName


class StageState(StrEnum):
    """How far a piece of Freight is in a Stage. The order is that of the journey, not that of the decision."""

    NOT_REQUESTED = "not_requested"
    """The Stage does not take Freight of this Warehouse."""
    NOT_REACHED = "not_reached"
    """The Freight is not yet in the upstream Stages in which it must be verified."""
    WAITING_FOR_VERIFICATION = "waiting_for_verification"
    """The Freight is in an upstream Stage, where it isn't verified."""
    WAITING_FOR_SOAK = "waiting_for_soak"
    """The Freight must stay longer in an upstream Stage."""
    SOAK_CUT_SHORT = "soak_cut_short"
    """The Freight left the upstream Stage before its soak time was over."""
    SOAK_IMPOSSIBLE = "soak_impossible"
    """The soak time is required in a control flow Stage, where Freight never stays."""
    AWAITING_PROMOTION = "awaiting_promotion"
    """The Freight is available; nothing promotes it automatically."""
    HELD = "held"
    """Auto-promotion is paused by a hold."""
    SUPERSEDED = "superseded"
    """Newer Freight is available, so Kargo won't promote this one automatically."""
    RECONCILE_ERROR = "reconcile_error"
    """Kargo cannot promote because of an error."""
    WINDOW_CLOSED = "window_closed"
    """The promotion window is closed."""
    IMMINENT = "imminent"
    """Kargo will promote the Freight shortly."""
    QUEUED = "queued"
    """A Promotion waits for another one, or for a verification, to end."""
    PROMOTING = "promoting"
    """A Promotion is running."""
    WAITING_FOR_PULL_REQUEST = "waiting_for_pull_request"
    """A running Promotion waits until its pull request is merged."""
    FAILED = "failed"
    """The newest Promotion failed; Kargo doesn't repeat it."""
    ABORTED = "aborted"
    """The newest Promotion was aborted; Kargo doesn't repeat it."""
    ARRIVING = "arriving"
    """The Promotion succeeded a moment ago; the Stage doesn't show it yet."""
    VERIFYING = "verifying"
    """The Freight is in the Stage and not verified yet."""
    VERIFICATION_FAILED = "verification_failed"
    """The Freight is in the Stage; its verification failed."""
    UNHEALTHY = "unhealthy"
    """The Freight is in the Stage, which is unhealthy."""
    CURRENT = "current"
    """The Freight is in the Stage and verified."""
    REPLACED = "replaced"
    """The Freight was in the Stage."""
    PASSED = "passed"
    """The Freight passed a control flow Stage."""


LIVE_STATES: Final = frozenset(
    {StageState.CURRENT, StageState.VERIFYING, StageState.VERIFICATION_FAILED, StageState.UNHEALTHY}
)
"""The Freight is in the Stage now."""

REACHED_STATES: Final = LIVE_STATES | {StageState.ARRIVING, StageState.REPLACED, StageState.PASSED}
"""The Freight is or was in the Stage."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a piece of Freight is in a Stage.

    What belongs to a state, otherwise empty:

    - `since`: in the Stage since; promoting, queued or held since; failed or passed at. None if unknown.
    - `until`: replaced at; end of the soak time; next opening of the window. None if unknown.
    - `verified_at`: first verified in this Stage, in any state.
    - `step` of `steps` (from 1; 0 if unknown) and its alias `step_alias`: of a running or failed Promotion.
    - `message`: Kargo's words: of a failed Promotion, verification, health check, or an error.
    - `upstreams`: the Stages that the Freight waits for, one or all of them (`all_upstreams`); `causes`: how far it is
      there.
    - `soak` and `soaked`: the required time and what has passed of it.
    - `other`: the Freight that replaced or superseded this one, is promoted before it, or is pinned by a hold;
      newer Freight that is in the Stage while this one waits for a person.
    - `failed_other`: Freight whose Promotion failed to replace this one.
    - `again`: how a later Promotion of the same Freight to the Stage that it is in went or goes: promoting, queued,
      waiting for a pull request, failed or aborted.
    - `in_stage`: the Freight of this Warehouse that is in the Stage now, in any state.
    - `actor`: who created the Promotion or the hold, empty if Kargo did.
    - `promotion`: the name of the Promotion.
    - `automatic`: Kargo promotes to the Stage automatically.
    - `stuck`: the state won't change by itself; it needs action.
    """

    project: str
    stage: str
    freight: FreightName
    state: StageState
    since: datetime | None = None
    until: datetime | None = None
    verified_at: datetime | None = None
    step: int = 0
    steps: int = 0
    step_alias: str = ""
    message: str = ""
    upstreams: tuple[str, ...] = ()
    all_upstreams: bool = False
    causes: tuple[StageProgress, ...] = ()
    soak: timedelta = timedelta()
    soaked: timedelta = timedelta()
    other: FreightName | None = None
    failed_other: FreightName | None = None
    again: StageState | None = None
    in_stage: FreightName | None = None
    actor: str = ""
    promotion: str = ""
    automatic: bool = False
    stuck: bool = False

    @property
    def is_live(self) -> bool:
        """Return whether the Freight is in the Stage now."""
        return self.state in LIVE_STATES

    @property
    def is_reached(self) -> bool:
        """Return whether the Freight is or was in the Stage."""
        return self.state in REACHED_STATES


@dataclass(frozen=True, slots=True)
class StageNode:
    """A Stage of a journey: its upstream Stages, its distance from the Warehouse (from 0), and the progress there.

    `is_last`: no other Stage takes Freight from it. `control_flow`: Freight only passes through.
    """

    name: str
    parents: tuple[str, ...]
    depth: int
    progress: StageProgress
    is_last: bool = False
    control_flow: bool = False


@dataclass(frozen=True, slots=True)
class StageJourney:
    """The way of a piece of Freight through the Stages of its Warehouse, upstream Stages first.

    `complete`: nothing is missing, such as Promotions that are being read.
    """

    project: str
    warehouse: str
    freight: FreightName
    nodes: tuple[StageNode, ...]
    complete: bool = True
