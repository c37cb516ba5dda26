"""Compute the delay before a retry."""

from __future__ import annotations

import random
from dataclasses import dataclass

from receivers.cluster.client import WATCH_SILENCE
from receivers.cluster.errors import ClusterError, Forbidden, NotInstalled


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter; all values in seconds.

    Delays are shortened at random by up to a half, so that many pods do not reconnect to a restarted API server at
    the same moment.
    """

    first: float = 0.2  # after one failure; short, so that a dropped watch goes unnoticed
    longest: float = 30.0  # after many failures; how late a recovery may be noticed
    # If RBAC forbids access or the type is not installed: only an administrator can fix that
    forbidden: float = 30.0
    healthy: float = 5.0  # a watch that lasted this long resets the number of failures
    silence: float = WATCH_SILENCE  # a watch without a byte for this long times out
    retry_after_limit: float = 120.0  # longest Retry-After that is honored

    def after(self, failures: int, error: ClusterError | None) -> float:
        """Return the seconds to wait after `failures` consecutive failures, the last of them with `error`."""
        if failures == 0:
            return 0.0
        if isinstance(error, Forbidden | NotInstalled):
            seconds = self.forbidden
        else:
            seconds = min(self.longest, self.first * 2.0 ** min(failures - 1, 20))
        retry_after = min(error.retry_after or 0.0, self.retry_after_limit) if error is not None else 0.0
        return max(retry_after, seconds * random.uniform(0.5, 1.0))  # noqa: S311  not a secret
