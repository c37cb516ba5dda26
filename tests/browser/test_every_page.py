"""What holds on every page: it can be read by everybody, it fits a phone, it asks for nothing from elsewhere.

A new page is a line in `PAGES`.
"""

from __future__ import annotations

import pytest

from tests.browser.pages import DESK, PHONE, THEMES, Theme, Visitor, assert_accessible, assert_fits
from tests.worlds import Place

PAGES = {
    "projects": "/",
    "projects, nothing found": "/?q=no+such+project",
    "project": "/projects/{project}",
    "cluster receivers": "/cluster",
    "test": "/projects/{project}/receivers/hook/test",
    "needs attention": "/attention",
    "one check": "/attention?check=receiver.unreachable",
    "nothing needs attention": "/attention?project=no-such-project",
    "status": "/status",
    "audit": "/audit",
    "not found": "/nothing-here",
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier_in_either_theme(admin: Visitor, shop: Place, name: str, theme: Theme):
    with admin.page(theme=theme) as watched:
        assert_accessible(watched.open(PAGES[name].format(project=shop.name)))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_and_has_no_barrier_there(admin: Visitor, shop: Place, name: str):
    with admin.page(viewport=PHONE) as watched:
        page = watched.open(PAGES[name].format(project=shop.name))
        assert_fits(page)
        assert_accessible(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_windows_of_all_widths(admin: Visitor, shop: Place, name: str):
    with admin.page(viewport=DESK) as watched:
        page = watched.open(PAGES[name].format(project=shop.name))
        for width in (1920, 1024, 800, 600, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert_fits(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_without_javascript(admin: Visitor, shop: Place, name: str):
    with admin.page(javascript=False) as watched:
        page = watched.open(PAGES[name].format(project=shop.name))
        assert page.locator("h1").inner_text()
        assert page.get_by_role("link", name="Cluster receivers").first.is_visible()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_sign_in_page_has_no_barrier(stranger: Visitor, theme: Theme, viewport: dict[str, int]):
    with stranger.page(theme=theme, viewport=viewport) as watched:
        page = watched.open("/sign-in")
        assert_fits(page)
        assert_accessible(page)
