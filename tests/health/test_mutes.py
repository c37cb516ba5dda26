"""Mutes: stored, taken back, and forgotten when what they were about has been gone for long."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from django.utils import timezone

from receivers.health import mutes
from receivers.health.cached_value import Kept
from receivers.health.finding import Finding, Severity, Subject
from receivers.models import Mute


@pytest.fixture
def finding(database) -> Finding:
    name = f"hook-{secrets.token_hex(6)}"
    return Finding(Severity.WARNING, "receiver.silent", "shop", Subject.RECEIVER, name, "Silent.", "Look.")


def test_who_muted_last_is_told_and_it_can_be_taken_back(finding):
    mutes.mute(finding, "jane", "known")
    mutes.mute(finding, "joe", "still \x00 known")
    muted = mutes.read()[finding.key]
    assert (muted.user, muted.note) == ("joe", "still � known")
    mutes.unmute(finding.key)
    assert finding.key not in mutes.read()
    mutes.unmute(finding.key)


def test_a_mute_is_forgotten_a_day_after_its_finding_was_seen_last(finding):
    mutes.mute(finding, "jane", "")
    everything, now = set(mutes.read()), timezone.now()
    others = everything - {finding.key}
    later = now + mutes.FORGOTTEN_AFTER
    mutes.keep_books(everything, later)
    mutes.keep_books(others, later + timedelta(hours=23))
    assert finding.key in mutes.read()
    mutes.keep_books(others, later + mutes.FORGOTTEN_AFTER + timedelta(seconds=1))
    assert finding.key not in mutes.read()
    assert others <= set(mutes.read())
    Mute.objects.update(seen_at=now)


class TestKept:
    def test_it_is_made_once_until_it_is_wanted_anew(self):
        made: list[int] = []

        def make() -> int:
            made.append(len(made))
            return len(made)

        kept = Kept(make, 1000.0)
        assert (kept.get(), kept.get(), kept.renew(1000.0)) == (1, 1, 1)
        assert (kept.renew(-1.0), kept.get()) == (2, 2)

    def test_it_is_changed_in_its_place(self):
        kept = Kept(lambda: 1, 1000.0)
        kept.change(lambda value: value + 10)
        assert kept.get() == 1
        kept.change(lambda value: value + 10)
        assert kept.get() == 11

    def test_what_cannot_be_made_raises_and_is_tried_again(self):
        tries = iter([False, True])

        def make() -> int:
            if not next(tries):
                raise OSError("no")
            return 5

        kept = Kept(make, 1000.0)
        with pytest.raises(OSError, match="no"):
            kept.get()
        assert kept.get() == 5
