"""Which Freight is available to a Stage, and what other Freight lacks.

Source: `IsFreightAvailable` and `ListFreightAvailableToStage` in Kargo's `pkg/api`, and `Freight.HasSoakedIn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.kargo.stage_states import StageState
from receivers.kargo.stages import FreightRequest, FreightStatus, Stage


@dataclass(frozen=True, slots=True)
class Missing:
    """What Freight lacks to be available to a Stage: the state, in which upstream Stages, and until when."""

    state: StageState
    upstreams: tuple[str, ...]
    until: datetime | None = None
    soaked: timedelta = timedelta()


_BY_HOPE: Final = (StageState.WAITING_FOR_SOAK, StageState.SOAK_CUT_SHORT, StageState.SOAK_IMPOSSIBLE)


def missing_for(
    freight: FreightStatus, stage: Stage, request: FreightRequest, stages: Mapping[str, Stage], now: datetime
) -> Missing | None:
    """Return what Freight lacks to be available to a Stage; None if it is available."""
    if request.direct or stage.name in freight.approved_for:
        return None
    unverified = tuple(name for name in request.upstreams if name not in freight.verified_in)
    if unverified and (request.all_upstreams or len(unverified) == len(request.upstreams)):
        within = tuple(name for name in unverified if is_in(freight, stages.get(name)))
        state = StageState.WAITING_FOR_VERIFICATION if within else StageState.NOT_REACHED
        return Missing(state, within or unverified)
    soaks = [
        _missing_soak(freight, name, request.soak, stages.get(name), now)
        for name in request.upstreams
        if name in freight.verified_in
    ]
    unsoaked = [soak for soak in soaks if soak is not None]
    if request.all_upstreams:
        return max(unsoaked, key=_distance, default=None)
    return min(unsoaked, key=_distance) if unsoaked and len(unsoaked) == len(soaks) else None


def is_in(freight: FreightStatus, stage: Stage | None) -> bool:
    """Return whether Freight is in a Stage now. Kargo's note on the Freight outlives a deleted Stage."""
    if stage is None:
        return False
    current = stage.current(freight.warehouse)
    return current is not None and current.name == freight.name


def _missing_soak(
    freight: FreightStatus, name: str, soak: timedelta, upstream: Stage | None, now: datetime
) -> Missing | None:
    since = freight.currently_in.get(name) if upstream is not None else None
    soaked = max(freight.verified_in[name].soaked, now - since if since else timedelta())
    if soaked >= soak:
        return None
    if since is not None:
        return Missing(StageState.WAITING_FOR_SOAK, (name,), since + soak, soaked)
    impossible = upstream is not None and upstream.control_flow
    state = StageState.SOAK_IMPOSSIBLE if impossible else StageState.SOAK_CUT_SHORT
    return Missing(state, (name,), soaked=soaked)


def _distance(missing: Missing) -> tuple[int, float]:
    return _BY_HOPE.index(missing.state), missing.until.timestamp() if missing.until else 0.0
