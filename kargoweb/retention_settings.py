"""The settings of retention: how long deliveries and their bodies are kept, and how much of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kargoweb.environment import Environment, integer

LARGEST_QUOTA: Final = 10_000_000  # MiB


@dataclass(frozen=True, slots=True)
class RetentionConfiguration:
    """Limits by age in days, by number, and of bodies in MiB. Of all but `keep_days`, 0 means no limit."""

    keep_days: int
    keep_body_days: int
    keep_deliveries: int
    body_quota: int
    receiver_body_quota: int


def read_retention(env: Environment) -> RetentionConfiguration:
    """Read the settings. Reports invalid ones to `env`."""
    return RetentionConfiguration(
        keep_days=env.read("KARGOWEB_KEEP_DAYS", 90, integer(1, 3650)),
        keep_body_days=env.read("KARGOWEB_KEEP_BODY_DAYS", 0, integer(0, 3650)),
        keep_deliveries=env.read("KARGOWEB_KEEP_DELIVERIES", 0, integer(0, 1_000_000_000)),
        body_quota=env.read("KARGOWEB_BODY_QUOTA", 2048, integer(0, LARGEST_QUOTA)),
        receiver_body_quota=env.read("KARGOWEB_RECEIVER_BODY_QUOTA", 512, integer(0, LARGEST_QUOTA)),
    )
