"""The meaning and remedy of each outcome."""

from __future__ import annotations

import pytest

from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.remedies import REMEDIES, remedy
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import Outcome


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if tone(outcome) is Tone.BAD])
def test_an_outcome_that_needs_action_says_what_to_do(outcome):
    # A user deleted the Warehouse: there is nothing to fix.
    assert bool(remedy(outcome).to_do) != (outcome is Outcome.WAREHOUSE_DELETED)


@pytest.mark.parametrize("outcome", list(RefreshOutcome))
def test_outcomes_of_refreshes_have_the_same_sentences_as_outcomes_of_deliveries(outcome):
    assert remedy(outcome) is REMEDIES[Outcome(outcome.value)]
