"""Failures that users can inject with the annotation `demo.kargoweb/behavior` of a Warehouse.

The value is a comma-separated list of words. Some of them accept a number after `=`:

    slow=5                discovery takes this many seconds (default: 5)
    lag=30                the registry lists a tag to this Warehouse this many seconds after its push (default: 30)
    fail-discovery-once   the next discovery fails with Docker Hub's rate limit, then the word is removed
    fail-discovery        every discovery fails with Docker Hub's rate limit
    dead                  the Warehouse is never reconciled, as if its shard had no controller

For example: `kubectl annotate warehouse app demo.kargoweb/behavior=slow=10,fail-discovery-once`. Other
outcomes need no annotation: `freightCreationPolicy: Manual`, unsatisfied criteria, a shard without a controller, a tag
beyond the discovery limit, or a push of the same content (`manage.py push --same`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BEHAVIOR_ANNOTATION: Final = "demo.kargoweb/behavior"
FAIL_ONCE: Final = "fail-discovery-once"
DEFAULTS: Final = {"slow": 5.0, "lag": 30.0}  # seconds


@dataclass(frozen=True, slots=True)
class Behavior:
    """The parsed annotation. Times are in seconds."""

    slow: float = 0.0
    lag: float = 0.0
    fails: bool = False
    fails_once: bool = False
    dead: bool = False


def parse_behavior(text: str) -> Behavior:
    """Parse the value of the annotation. Unknown words are ignored."""
    words = dict(_word(part) for part in text.split(","))
    return Behavior(
        slow=_seconds(words, "slow"),
        lag=_seconds(words, "lag"),
        fails="fail-discovery" in words,
        fails_once=FAIL_ONCE in words,
        dead="dead" in words,
    )


def without_fail_once(text: str) -> str:
    """Return the value of the annotation without `fail-discovery-once`."""
    return ",".join(part.strip() for part in text.split(",") if part.strip() not in {"", FAIL_ONCE})


def _word(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def _seconds(words: dict[str, str], name: str) -> float:
    if name not in words:
        return 0.0
    try:
        return max(0.0, float(words[name] or DEFAULTS[name]))
    except ValueError:
        return DEFAULTS[name]
