"""Needs action, as people use it: muted and unmuted by clicks, with a script and without one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from receivers.models import Mute
from tests.browser.pages import PHONE, Visitor, assert_accessible, assert_fits
from tests.clusters import until
from tests.worlds import KargoProject

TITLE = "URLs Docker Hub can't reach"


def opened(page: Page, place: KargoProject) -> Page:
    """Wait until the receivers of the project have been looked at."""
    until("it is told", lambda: page.reload() and page.get_by_role("region", name=TITLE).count())
    return page


@pytest.mark.parametrize("javascript", [True, False], ids=["with a script", "without"])
def test_an_operator_mutes_a_finding_and_takes_it_back(
    operator: Visitor, shop: KargoProject, javascript: bool
):
    path = f"/attention?project={shop.name}&severity=urgent"
    with operator.page(javascript=javascript) as watched:
        page = opened(watched.open(path), shop)
        region = page.get_by_role("region", name=TITLE)
        expect(region).to_contain_text(f"{shop.name} / hook")
        region.get_by_role("link", name=f"Mute {TITLE}, hook").click()
        page.get_by_label("Reason (optional)").fill("a host of the tests")
        page.get_by_role("button", name="Mute until it changes").click()
        expect(page.get_by_role("status")).to_contain_text("Muted until it changes")
        watched.open(path)
        expect(page.get_by_role("region", name=TITLE)).not_to_contain_text(f"{shop.name} / hook")
        page.locator("details.steps summary").click()
        expect(page.locator("details.steps")).to_contain_text("a host of the tests")
        assert Mute.objects.filter(project=shop.name).count() == 1
        if javascript:
            assert_accessible(page)
        page.get_by_role("link", name=f"Unmute {TITLE}, hook").click()
        page.get_by_role("button", name="Unmute").click()
        expect(page.get_by_role("status")).to_contain_text("Unmuted")
        assert not Mute.objects.filter(project=shop.name).exists()


def test_a_mute_is_seen_by_others_without_a_click(operator: Visitor, viewer: Visitor, shop: KargoProject):
    path = f"/attention?project={shop.name}"
    with viewer.page() as watching, operator.page() as acting:
        seen = opened(watching.open(path), shop)
        expect(seen.get_by_role("link", name="Mute", exact=False)).to_have_count(0)
        page = opened(acting.open(path), shop)
        page.get_by_role("link", name=f"Mute {TITLE}, hook").click()
        page.get_by_role("button", name="Mute until it changes").click()
        region = seen.get_by_role("region", name=TITLE)
        expect(region.get_by_text(f"{shop.name} / hook")).to_have_count(0, timeout=20_000)
        acting.open(path)
        page.locator("details.steps summary").click()
        page.get_by_role("link", name=f"Unmute {TITLE}, hook").click()
        page.get_by_role("button", name="Unmute").click()
        expect(region.get_by_text(f"{shop.name} / hook")).to_have_count(1, timeout=20_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_of_a_finding_has_no_barrier_and_fits_a_phone(operator: Visitor, shop: KargoProject, theme):
    with operator.page(viewport=PHONE, theme=theme) as watched:
        page = opened(watched.open(f"/attention?project={shop.name}"), shop)
        page.get_by_role("link", name=f"Mute {TITLE}, hook").click()
        expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
