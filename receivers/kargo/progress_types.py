"""The words of a refresh's story: what was asked, what can be seen, and how it can stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final, TypeAlias

from receivers.kargo.artifacts import Discovered, Freight
from receivers.kargo.outcomes import RefreshOutcome
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse
from receivers.kargo.times import whole_second

# A push that a sender says is older than this is not a delayed delivery: its clock, or its body, cannot be believed.
BELIEVABLE_DELAY: Final = timedelta(hours=1)


class Cause(StrEnum):
    """Why a Warehouse is to be asked again."""

    NOT_HANDLED = "not handled"
    DISCOVERY_FAILED = "discovery failed"
    RATE_LIMITED = "rate limited"
    NOT_VISIBLE = "tag not visible"
    SAME_CONTENT = "same content"


class Need(Enum):
    """What has to be looked at before the story can go on; all of it is in the cluster and not in the mirror."""

    ARTIFACTS = "what the Warehouse has discovered"
    LAST_FREIGHT = "the Freight that the Warehouse made last"
    ALL_FREIGHT = "all Freight of the project"


class Patience(Enum):
    """What is waited for; how long is for whoever follows to say."""

    HANDLING = "a controller to take up the refresh"
    DISCOVERY = "discovery, which is under way"
    FREIGHT = "Kargo to make Freight"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of a Warehouse: for which push, which reached us when, and with which token, the last one.

    `discovered_before` is the `discoveredAt` that the Warehouse had then. `witnessed` says whether `discoveredAt` was
    seen to change together with the handling of the token, None if nobody saw that moment. `failure` is Kargo's message
    of a failed discovery since, as Kargo does not keep it.
    """

    push: Push
    received_at: datetime
    token: str
    discovered_before: str = ""
    witnessed: bool | None = None
    failure: str = ""

    @property
    def since(self) -> datetime:
        """Return the second from which on Freight can have come of this push."""
        pushed_at = self.push.pushed_at
        earliest = self.received_at - BELIEVABLE_DELAY
        if pushed_at is not None and earliest <= pushed_at <= self.received_at:
            return whole_second(pushed_at)
        return whole_second(self.received_at)


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be seen now: the Warehouse, Freight of it (oldest first), and, if looked up, what it has discovered.

    `all_freight`: as far as the watch tells, none that was made since the push is missing; `listed`: none at all is.
    `last_freight_gone`: the Freight that the Warehouse says it made last cannot be had.
    """

    warehouse: Warehouse
    freight: Sequence[Freight] = ()
    discovered: Sequence[Discovered] | None = None
    all_freight: bool = False
    listed: bool = False
    last_freight_gone: bool = False


@dataclass(frozen=True, slots=True)
class Looking:
    """More has to be looked up."""

    need: Need


@dataclass(frozen=True, slots=True)
class Lost:
    """Kargo will not come to it by itself: ask again or, when that was done often enough, end with `outcome`."""

    cause: Cause
    outcome: RefreshOutcome
    reason: str
    freight: Freight | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The story has ended."""

    outcome: RefreshOutcome
    reason: str
    freight: Freight | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do until something changes; `otherwise` is how it stands when patience ends."""

    patience: Patience
    reason: str
    otherwise: Lost | Ended


Stand: TypeAlias = Waiting | Looking | Lost | Ended


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: handled, discovered (with the digest of the pushed tag, if known), and how it stands now."""

    stand: Stand
    handled: bool = False
    discovered: bool = False
    digest: str = ""
