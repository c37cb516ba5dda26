"""When a Warehouse is refreshed again, how often, and how long each phase of a refresh may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kargoweb.retry_settings import RetryConfiguration
from receivers.kargo.progress_states import RefreshPhase
from receivers.kargo.refresh_outcomes import RetryCause

# Across all causes. Causes can alternate, so limits per cause alone would not end the retries of a push.
MAX_RETRIES: Final = 12
SAME_CONTENT_RETRIES: Final = 1  # usually the same content was pushed again, and the registry does not lag
NOT_HANDLED_RETRIES: Final = 2  # each waits twice as long as the one before

REQUEST_DELAYS: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds after the first, second, ... failed request to the API server; then hourly for a day."""

SHARED_WITHIN: Final = 30.0
"""Seconds: a retry also serves the refreshes of its Warehouse that are due this soon."""

# But none in the first half of its delay. Otherwise the retries of a busy Warehouse would use up those of a push long
# before the registry lists its tag.
SHARED_SHARE: Final = 0.5

HOURLY: Final = 3600.0
MAX_REQUESTS: Final = len(REQUEST_DELAYS) + 24


def seconds_to_next_request(failed: int, retry_after: float) -> float | None:
    """Return the seconds until the next request after `failed` (1 or more) failed ones; None if there is none.

    `retry_after` is how many seconds the server asked to wait. It counts up to an hour: a larger number may be beyond
    what a date can express, and would put off the end of the retries.
    """
    if failed >= MAX_REQUESTS:
        return None
    delay = REQUEST_DELAYS[failed - 1] if failed <= len(REQUEST_DELAYS) else HOURLY
    return max(delay, min(retry_after, HOURLY))


@dataclass(frozen=True, slots=True)
class RetryPolicy(RetryConfiguration):
    """What the configured timeouts and delays mean for a refresh."""

    def delay(self, cause: RetryCause, retries: int, total_retries: int) -> float | None:
        """Return the seconds until the next retry; None if there is none.

        `retries` counts the previous retries for this cause, `total_retries` those for any cause.
        """
        delays = self._delays(cause)
        return delays[retries] if retries < len(delays) and total_retries < MAX_RETRIES else None

    def is_soon(self, left: float, cause: RetryCause, retries: int, total_retries: int) -> bool:
        """Say whether a retry that is due in `left` seconds can be made now, with another one of its Warehouse.

        The other arguments are those of `delay`.
        """
        delay = self.delay(cause, retries, total_retries) or 0.0
        return left <= max(0.0, min(SHARED_WITHIN, delay * SHARED_SHARE))

    def timeout(self, phase: RefreshPhase, retries: int) -> float:
        """Return how many seconds a phase may take; it doubles with each previous retry."""
        seconds = {
            RefreshPhase.HANDLING: self.handled_within,
            RefreshPhase.DISCOVERY: self.discovered_within,
            RefreshPhase.FREIGHT: self.freight_within,
        }
        return seconds[phase] * 2.0**retries

    def _delays(self, cause: RetryCause) -> tuple[float, ...]:
        match cause:
            case RetryCause.NOT_HANDLED:
                # The timeout of the handling phase is the delay.
                return (0.0,) * NOT_HANDLED_RETRIES
            case RetryCause.DISCOVERY_FAILED:
                return self.discovery_delays
            case RetryCause.RATE_LIMITED:
                return self.rate_limit_delays
            case RetryCause.NOT_VISIBLE:
                return self.lag_delays
            case RetryCause.SAME_CONTENT:
                return self.lag_delays[:SAME_CONTENT_RETRIES]
