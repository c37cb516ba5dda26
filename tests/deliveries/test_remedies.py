"""What outcomes mean and what to do: one source, which the README repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.remedies import REMEDIES, remedy
from receivers.kargo.outcomes import RefreshOutcome
from receivers.models import Outcome

README = (Path(__file__).resolve().parent.parent.parent / "README.md").read_text()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_readme_says_what_the_pages_say(outcome):
    known = REMEDIES[outcome]
    assert f"| {outcome} | {known.means} | {known.to_do} |".replace("|  |", "| |") in README


@pytest.mark.parametrize("outcome", [one for one in Outcome if tone(one) is Tone.BAD])
def test_what_needs_somebody_says_what_to_do(outcome):
    changed_by_somebody = outcome is Outcome.WAREHOUSE_DELETED
    assert bool(remedy(outcome).to_do) != changed_by_somebody


@pytest.mark.parametrize("outcome", list(RefreshOutcome))
def test_the_end_of_a_refresh_has_the_words_of_the_delivery(outcome):
    assert remedy(outcome) is REMEDIES[Outcome(outcome.value)]
