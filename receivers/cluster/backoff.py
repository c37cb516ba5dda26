"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from receivers.cluster.client import WATCH_SILENCE
from receivers.cluster.errors import ClusterError, Forbidden, NotInstalled


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait; those between tries are shortened at random by up to a half.

    The randomness keeps many pods from coming back to a restarted API server in step.
    """

    first: float = 0.2  # after one failure; a dropped watch should be noticed by nobody
    longest: float = 30.0  # after many; the most that a recovery is seen late
    refused: float = 30.0  # for what RBAC forbids or is not installed: a person mends that, and waits for us
    healthy: float = 5.0  # a watch that lasted this long ends a row of failures
    silence: float = WATCH_SILENCE  # a watch that is silent for so long is given up
    asked: float = 120.0  # the most that we let a server ask for with Retry-After

    def after(self, failures: int, error: ClusterError | None) -> float:
        """Return the seconds to wait after `failures` tries in a row that failed, the last by `error`."""
        if failures == 0:
            return 0.0
        if isinstance(error, Forbidden | NotInstalled):
            seconds = self.refused
        else:
            seconds = min(self.longest, self.first * 2.0 ** min(failures - 1, 20))
        asked = min(error.retry_after or 0.0, self.asked) if error is not None else 0.0
        return max(asked, seconds * random.uniform(0.5, 1.0))  # noqa: S311  nothing secret
