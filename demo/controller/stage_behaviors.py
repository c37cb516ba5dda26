"""The behavior of a Stage's Promotions, from the annotation `demo.kargoweb/behavior` of the Stage.

The value is a comma-separated list of words:

    step=2                each step takes this many seconds (default: 1)
    fail-step=git-push    Promotions fail at the step with this alias
    verify=5              the verification takes this many seconds (default: 2)
    fail-verification     every verification fails

For example: `kubectl annotate stage prod demo.kargoweb/behavior=step=3,fail-step=git-push`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STEP_SECONDS: Final = 1.0
VERIFICATION_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class StageBehavior:
    """The parsed annotation. Times are in seconds; `fail_step` is empty if no step fails."""

    step: float = STEP_SECONDS
    verification: float = VERIFICATION_SECONDS
    fail_step: str = ""
    fails_verification: bool = False


def parse_stage_behavior(text: str) -> StageBehavior:
    """Parse the value of the annotation. Unknown words are ignored."""
    words = dict(_word(part) for part in text.split(","))
    return StageBehavior(
        step=_seconds(words.get("step", ""), STEP_SECONDS),
        verification=_seconds(words.get("verify", ""), VERIFICATION_SECONDS),
        fail_step=words.get("fail-step", ""),
        fails_verification="fail-verification" in words,
    )


def _word(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name, value


def _seconds(text: str, default: float) -> float:
    try:
        return max(0.0, float(text)) if text else default
    except ValueError:
        return default
