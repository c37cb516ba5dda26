"""How long a story is waited for, and how often and when a Warehouse is asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from receivers.kargo.progress_types import Cause, Patience

MOST_AGAIN: Final = (
    12  # times in all that one push asks again, whatever the causes: nothing goes round for ever
)
DISCOVERY_DELAYS: Final = (5.0, 30.0, 120.0, 600.0)
# Docker Hub counts pulls by the hour or longer; asking within seconds makes it worse.
RATE_LIMIT_DELAYS: Final = (120.0, 300.0, 900.0, 1800.0)
LAG_DELAYS: Final = (10.0, 60.0, 300.0)
SAME_CONTENT_TRIES: Final = 1  # of those for a registry that lags: most of the time nothing new was pushed
NOT_HANDLED_TRIES: Final = 2  # more, each waited for twice as long as the one before

ATTEMPT_DELAYS: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds after the first, the second, ... time that the API server did not take a refresh; then `HOURLY` for a day."""

HOURLY: Final = 3600.0
MOST_ATTEMPTS: Final = len(ATTEMPT_DELAYS) + 24


def seconds_to_next_attempt(attempts: int, retry_after: float) -> float | None:
    """Return the seconds until a refresh is tried again that the API server did not take `attempts` (1 or more) times.

    `retry_after` is how many seconds it wants us to wait. None means never.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    delay = ATTEMPT_DELAYS[attempts - 1] if attempts <= len(ATTEMPT_DELAYS) else HOURLY
    return max(delay, retry_after)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds: until a refresh should be handled, discovery should end, Freight should be there; and the delays after
    which a Warehouse is asked again, one for each time, for a discovery that failed, one that a rate limit refused, and
    a tag that the registry does not list yet."""

    handled_within: float = 120.0
    discovered_within: float = 900.0
    freight_within: float = 120.0
    discovery_delays: tuple[float, ...] = DISCOVERY_DELAYS
    rate_limit_delays: tuple[float, ...] = RATE_LIMIT_DELAYS
    lag_delays: tuple[float, ...] = LAG_DELAYS

    def delay(self, cause: Cause, times: int, times_in_all: int) -> float | None:
        """Return the seconds until a Warehouse is asked again; None when it was asked often enough.

        `times` is how often it was asked again for this cause, `times_in_all` for any.
        """
        delays = self._delays(cause)
        return delays[times] if times < len(delays) and times_in_all < MOST_AGAIN else None

    def limit(self, patience: Patience, times: int) -> float:
        """Return how many seconds are waited; twice as long each time that it was asked again in vain (`times`)."""
        seconds = {
            Patience.HANDLING: self.handled_within,
            Patience.DISCOVERY: self.discovered_within,
            Patience.FREIGHT: self.freight_within,
        }
        return seconds[patience] * 2.0**times

    def _delays(self, cause: Cause) -> tuple[float, ...]:
        match cause:
            case Cause.NOT_HANDLED:
                return (0.0,) * NOT_HANDLED_TRIES
            case Cause.DISCOVERY_FAILED:
                return self.discovery_delays
            case Cause.RATE_LIMITED:
                return self.rate_limit_delays
            case Cause.NOT_VISIBLE:
                return self.lag_delays
            case Cause.SAME_CONTENT:
                return self.lag_delays[:SAME_CONTENT_TRIES]
