"""The settings of retries: how long each phase of a refresh may take, and when it is requested again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kargoweb.environment import Environment, ascending_seconds, seconds
from kargoweb.setting_values import DAY, HOUR

# At most six retries. A registry that needs more is better served by polling (the Warehouse's interval).
DELAYS: Final = ascending_seconds(0.1, DAY, 6)


@dataclass(frozen=True, slots=True)
class RetryConfiguration:
    """Timeouts of the phases of a refresh, and the delays before each retry by cause. All in seconds."""

    handled_within: float
    discovered_within: float
    freight_within: float
    discovery_delays: tuple[float, ...]
    rate_limit_delays: tuple[float, ...]
    lag_delays: tuple[float, ...]

    @property
    def longest_days(self) -> float:
        """Return the days until the last retry of the cause with the longest delays."""
        return max(map(sum, (self.discovery_delays, self.rate_limit_delays, self.lag_delays))) / DAY


def read_retries(env: Environment) -> RetryConfiguration:
    """Read the settings. Reports invalid ones to `env`."""
    return RetryConfiguration(
        handled_within=env.read("KARGOWEB_HANDLED_WITHIN", 120.0, seconds(0.1, HOUR)),
        discovered_within=env.read("KARGOWEB_DISCOVERED_WITHIN", 900.0, seconds(0.1, DAY)),
        freight_within=env.read("KARGOWEB_FREIGHT_WITHIN", 120.0, seconds(0.1, HOUR)),
        discovery_delays=env.read("KARGOWEB_DISCOVERY_DELAYS", (5.0, 30.0, 120.0, 600.0), DELAYS),
        # Docker Hub counts pulls over an hour or longer, so retries within seconds would only add to the count.
        rate_limit_delays=env.read("KARGOWEB_RATE_LIMIT_DELAYS", (120.0, 300.0, 900.0, 1800.0), DELAYS),
        lag_delays=env.read("KARGOWEB_LAG_DELAYS", (10.0, 60.0, 300.0), DELAYS),
    )


def retry_contradictions(retries: RetryConfiguration, keep_days: int) -> Iterator[str]:
    """Yield a sentence for each list of delays that is longer than deliveries are kept."""
    delays = {
        "KARGOWEB_DISCOVERY_DELAYS": retries.discovery_delays,
        "KARGOWEB_RATE_LIMIT_DELAYS": retries.rate_limit_delays,
        "KARGOWEB_LAG_DELAYS": retries.lag_delays,
    }
    for name, values in delays.items():
        if sum(values) >= keep_days * DAY:
            yield (
                f"{name} adds up to {sum(values) / DAY:.1f} days; KARGOWEB_KEEP_DAYS is {keep_days}, so "
                "deliveries would be deleted before their last retry; reduce the delays or keep deliveries longer"
            )
