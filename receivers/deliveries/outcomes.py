"""What outcomes mean for a list: their tone, and what several refreshes add up to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db import models

from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import Outcome


class Tone(models.TextChoices):
    """How an outcome reads in a list."""

    GOOD = "good", "Succeeded"
    PLAIN = "plain", "Skipped by configuration"
    """No Freight, and nothing is wrong."""

    BAD = "bad", "Needs action"
    OPEN = "open", "In progress"


_TONES: Final = {
    Tone.OPEN: {Outcome.PENDING, Outcome.REFRESHED},
    Tone.GOOD: {Outcome.FREIGHT_CREATED, Outcome.ALREADY_CURRENT, Outcome.TEST_PASSED},
    Tone.PLAIN: {
        Outcome.NO_MATCH, Outcome.DRY_RUN, Outcome.BEYOND_DISCOVERY_LIMIT, Outcome.CRITERIA_NOT_MET,
        Outcome.MANUAL_CREATION_POLICY, Outcome.NOT_NEWEST, Outcome.NO_LONGER_SELECTED,
    },
}  # fmt: skip


def tone(outcome: str) -> Tone:
    """Return the tone of an `Outcome` or a `RefreshOutcome`; BAD for everything that is neither."""
    return next((tone for tone, outcomes in _TONES.items() if outcome in outcomes), Tone.BAD)


def label(code: str) -> str:
    """Return the label of an `Outcome` or a `RefreshOutcome`; any other code with spaces for its underscores."""
    return Outcome(code).label if code in Outcome.values else code.replace("_", " ")


def summary(outcomes: Iterable[str]) -> Outcome | None:
    """Return the outcome of a delivery from those of its refreshes: the one that most needs action.

    Return None if there is no refresh, or if one of them has not ended (its outcome is empty).
    """
    distinct = set(outcomes)
    if not distinct or "" in distinct:
        return None
    # RefreshOutcome lists the codes from the most urgent to the least.
    return Outcome(next(code.value for code in RefreshOutcome if code in distinct))
