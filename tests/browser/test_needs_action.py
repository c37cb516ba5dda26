"""Needs action in a real browser, with and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from receivers.models import Mute
from tests.browser.pages import PHONE, Visitor, assert_accessible, assert_fits
from tests.clusters import until
from tests.worlds import KargoProject

TITLE = "URLs that providers can't reach"


def with_finding(page: Page) -> Page:
    """Reload the page until it has the finding; return it."""
    until("the finding is shown", lambda: page.reload() and page.get_by_role("region", name=TITLE).count())
    return page


@pytest.mark.parametrize("javascript", [True, False], ids=["JavaScript", "no JavaScript"])
def test_an_operator_mutes_and_unmutes_a_finding(operator: Visitor, shop: KargoProject, javascript: bool):
    path = f"/attention?project={shop.name}&severity=urgent"
    with operator.page(javascript=javascript) as monitored:
        page = with_finding(monitored.open(path))
        region = page.get_by_role("region", name=TITLE)
        expect(region).to_contain_text(f"{shop.name} / hook")
        region.get_by_role("link", name=f"Mute {TITLE}, hook").click()
        page.get_by_label("Reason").fill("a test host")
        page.get_by_role("button", name="Mute until it changes").click()
        expect(page.get_by_role("status")).to_contain_text(
            "Muted 2 findings of the same cause until they change"
        )
        monitored.open(path)
        expect(page.get_by_role("region", name=TITLE)).to_have_count(0)
        page.locator("details.folded > summary").click()
        expect(page.locator("details.folded")).to_contain_text("a test host")
        assert Mute.objects.filter(project=shop.name).count() == 1
        if javascript:
            assert_accessible(page)
        page.get_by_role("link", name=f"Unmute {TITLE}, hook").click()
        page.get_by_role("button", name="Unmute").click()
        expect(page.get_by_role("status")).to_contain_text("Unmuted")
        assert not Mute.objects.filter(project=shop.name).exists()


def test_a_mute_appears_in_open_pages_of_others(operator: Visitor, viewer: Visitor, shop: KargoProject):
    path = f"/attention?project={shop.name}"
    with viewer.page() as viewer_page, operator.page() as operator_page:
        seen = with_finding(viewer_page.open(path))
        expect(seen.get_by_role("link", name="Mute", exact=False)).to_have_count(0)
        page = with_finding(operator_page.open(path))
        page.get_by_role("link", name=f"Mute {TITLE}, hook").click()
        page.get_by_role("button", name="Mute until it changes").click()
        region = seen.get_by_role("region", name=TITLE)
        expect(region.get_by_text(f"{shop.name} / hook")).to_have_count(0)
        operator_page.open(path)
        page.locator("details.folded > summary").click()
        page.get_by_role("link", name=f"Unmute {TITLE}, hook").click()
        page.get_by_role("button", name="Unmute").click()
        expect(region.get_by_text(f"{shop.name} / hook")).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_of_a_finding_is_accessible_and_fits_a_phone(operator: Visitor, shop: KargoProject, theme):
    with operator.page(viewport=PHONE, theme=theme) as monitored:
        page = with_finding(monitored.open(f"/attention?project={shop.name}"))
        page.get_by_role("link", name=f"Mute {TITLE}, hook").click()
        expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
