"""The audit log."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from receivers.deliveries.retention import Retention
from receivers.models import Audit
from receivers.web.audit_log import PAGE_SIZE
from tests.users import create_user


def test_an_admin_can_read_the_audit_log(browser):
    admin = create_user("admin")
    browser.sign_in(admin.username)
    page = browser.open("/audit")
    assert browser.status == 200
    log = page.partition('aria-label="Audit log"')[2]
    entry = log.partition(f">{admin.username}<")[2].partition("</tr>")[0]
    assert "Signed in" in entry


@pytest.mark.parametrize("group", ["operator", "admin:somewhere"])
def test_other_users_cannot_read_the_audit_log(signed_in, group):
    browser = signed_in(group)
    page = browser.open("/audit")
    assert browser.status in {403, 404}
    assert 'href="/audit"' not in page


def test_pages_have_no_gap_and_no_overlap(signed_in, database):
    at = timezone.now() + timedelta(days=1)  # newer than the entries of other tests
    Audit.objects.bulk_create(
        Audit(at=at, user=f"paged-{number}", action="mute") for number in range(PAGE_SIZE + 5)
    )
    browser = signed_in("admin")
    first = browser.open("/audit")
    older = re.search(r'href="(\?before=[^"]+)" rel="next"', first)
    assert older
    second = browser.open("/audit" + older[1])
    names = [set(re.findall(r">(paged-\d+)<", page)) for page in (first, second)]
    assert (len(names[0]), len(names[0] | names[1])) == (PAGE_SIZE, PAGE_SIZE + 5)


@pytest.mark.parametrize("before", ["", "x", "2026-01-01~x", "2026-01-01T00:00:00~" + "0" * 32])
def test_an_invalid_cursor_shows_the_first_page(signed_in, before):
    browser = signed_in("admin")
    browser.open(f"/audit?before={before}")
    assert browser.status == 200


def test_old_entries_are_deleted(database):
    old = Audit.objects.create(at=datetime(2020, 1, 1, tzinfo=UTC), user="old", action="mute")
    new = Audit.objects.create(at=timezone.now(), user="new", action="mute")
    Retention(90).work()
    assert list(Audit.objects.filter(pk__in=[old.pk, new.pk])) == [new]


def test_a_cursor_before_the_earliest_date_shows_the_first_page(signed_in):
    browser = signed_in("admin")
    browser.open("/audit?before=0001-01-01T00:00:00%2B10:00~00000000-0000-7000-8000-000000000000")
    assert browser.status == 200
