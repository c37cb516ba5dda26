"""Mutes are stored, deleted, and expire after their finding has disappeared. Also: cached values."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from django.utils import timezone

from receivers.health import mutes
from receivers.health.cached_value import CachedValue
from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity, Subject
from receivers.models import Mute


@pytest.fixture
def finding(database) -> Finding:
    name = f"hook-{secrets.token_hex(6)}"
    return Finding(
        Severity.WARNING,
        Check.NO_RECENT_PUSH,
        "shop",
        Subject.RECEIVER,
        name,
        "No push.",
        "Check the webhook.",
    )


def test_a_new_mute_replaces_the_previous_one_and_can_be_deleted(finding):
    mutes.mute(finding, "jane", "known")
    mutes.mute(finding, "joe", "still \x00 known")
    muted = mutes.read()[finding.mute_key]
    assert (muted.user, muted.note) == ("joe", "still � known")
    mutes.unmute(finding)
    assert finding.mute_key not in mutes.read()
    mutes.unmute(finding)


def test_a_mute_expires_a_day_after_its_finding_was_last_seen(finding):
    mutes.mute(finding, "jane", "")
    all_keys, now = set(mutes.read()), timezone.now()
    other_keys = all_keys - {finding.mute_key}
    later = now + mutes.EXPIRES_AFTER
    mutes.prune(all_keys, later)
    mutes.prune(other_keys, later + timedelta(hours=23))
    assert finding.mute_key in mutes.read()
    mutes.prune(other_keys, later + mutes.EXPIRES_AFTER + timedelta(seconds=1))
    assert finding.mute_key not in mutes.read()
    assert other_keys <= set(mutes.read())
    Mute.objects.update(seen_at=now)


class TestCachedValue:
    def test_the_value_is_computed_again_only_when_it_is_too_old(self):
        computed: list[int] = []

        def compute() -> int:
            computed.append(len(computed))
            return len(computed)

        cached = CachedValue(compute, 1000.0)
        assert (cached.get(), cached.get(), cached.refresh(1000.0)) == (1, 1, 1)
        assert (cached.refresh(-1.0), cached.get()) == (2, 2)

    def test_an_update_has_no_effect_before_a_value_is_cached(self):
        cached = CachedValue(lambda: 1, 1000.0)
        cached.update(lambda value: value + 10)
        assert cached.get() == 1
        cached.update(lambda value: value + 10)
        assert cached.get() == 11

    def test_an_error_is_raised_and_not_cached(self):
        results = iter([False, True])

        def compute() -> int:
            if not next(results):
                raise OSError("failed")
            return 5

        cached = CachedValue(compute, 1000.0)
        with pytest.raises(OSError, match="failed"):
            cached.get()
        assert cached.get() == 5
