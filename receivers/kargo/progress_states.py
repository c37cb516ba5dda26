"""The inputs of `progress.assess` (what was requested, what was observed) and its result: the states of a refresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias

from receivers.kargo.artifacts import DiscoveryResult, Freight
from receivers.kargo.push import Push
from receivers.kargo.refresh_outcomes import RefreshOutcome, RetryCause
from receivers.kargo.resources import Warehouse
from receivers.kargo.times import whole_second

# A `pushed_at` further in the past than this isn't a delayed delivery: the sender's clock or the body is wrong.
MAX_PLAUSIBLE_DELAY: Final = timedelta(hours=1)


class Lookup(Enum):
    """What must be read before a refresh can be assessed: from the cluster, whose cache does not hold it, or the log.

    The cheapest lookup comes first, but the log last: who looks there has found Freight.
    """

    ARTIFACTS = "the artifacts that the Warehouse discovered"
    LAST_FREIGHT = "the Freight that the Warehouse created last"
    ALL_FREIGHT = "all Freight of the project"
    ATTRIBUTIONS = "the pushes that led to the Freight"


class RefreshPhase(Enum):
    """What a refresh waits for. The caller decides how long each phase may take."""

    HANDLING = "a controller to handle the refresh"
    DISCOVERY = "the running discovery to finish"
    FREIGHT = "Kargo to create Freight"


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """A refresh requested from a Warehouse: the push, when it was received, and the token of the last attempt.

    `discovered_before` is the Warehouse's `discoveredAt` at the time of the request. The rest is what was observed
    since, because Kargo does not keep it: `handled`, whether Kargo has handled the token or a later one;
    `rediscovered`, whether `discoveredAt` has changed together with that or after it, None if that moment was not
    observed; `failure`, Kargo's message of a failed discovery.
    """

    push: Push
    received_at: datetime
    token: str
    discovered_before: str = ""
    handled: bool = False
    rediscovered: bool | None = None
    failure: str = ""

    @property
    def since(self) -> datetime:
        """Return the second from which on Freight can result from this push."""
        pushed_at = self.push.pushed_at
        earliest = self.received_at - MAX_PLAUSIBLE_DELAY
        if pushed_at is not None and earliest <= pushed_at <= self.received_at:
            return whole_second(pushed_at)
        return whole_second(self.received_at)


@dataclass(frozen=True, slots=True)
class AttributedPush:
    """A push that ended with Freight, according to the log: what was pushed, and when it was pushed and received."""

    repository: str
    tag: str
    pushed_at: datetime | None
    received_at: datetime


Attributions: TypeAlias = Mapping[str, Sequence[AttributedPush]]
"""The pushes that recently led to Freight, by its name."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The current state in the cluster: the Warehouse, its Freight (oldest first), and its discovered artifacts.

    `discovered` is None if the artifacts have not been looked up, and `attributions` likewise. `listed`: no Freight is
    missing; without it, Freight from before the watch is. `last_freight_gone`: the Freight that the Warehouse created
    last is deleted or not readable.
    """

    warehouse: Warehouse
    freight: Sequence[Freight] = ()
    discovered: Sequence[DiscoveryResult] | None = None
    listed: bool = False
    last_freight_gone: bool = False
    attributions: Attributions | None = None


@dataclass(frozen=True, slots=True)
class LookupNeeded:
    """The observation is incomplete; repeat the assessment after this lookup."""

    lookup: Lookup


@dataclass(frozen=True, slots=True)
class RetryNeeded:
    """Kargo will not get there without another refresh. Once retries are exhausted, `outcome` is final."""

    cause: RetryCause
    outcome: RefreshOutcome
    reason: str
    freight: Freight | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The refresh has ended."""

    outcome: RefreshOutcome
    reason: str
    freight: Freight | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until something changes; `on_timeout` is the state once the phase takes too long."""

    phase: RefreshPhase
    reason: str
    on_timeout: RetryNeeded | Ended


ProgressState: TypeAlias = Waiting | LookupNeeded | RetryNeeded | Ended


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a refresh is: its state, the steps it has reached, and the digest of the pushed tag, if known."""

    state: ProgressState
    handled: bool = False
    discovered: bool = False
    digest: str = ""
