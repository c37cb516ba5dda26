"""What holds on every page: it can be read by everybody, it fits a phone, it asks for nothing from elsewhere.

A new page is a line in `PAGES`.
"""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from receivers.deliveries.redelivery import redeliver
from receivers.models import Origin, Outcome
from tests.browser.pages import DESK, PHONE, THEMES, Theme, Visitor, assert_accessible, assert_fits
from tests.delivery_rows import deliveries_of
from tests.worlds import KargoProject

PAGES = {
    "projects": "/",
    "projects, nothing found": "/?q=no+such+project",
    "project": "/projects/{project}",
    "cluster receivers": "/cluster",
    "test": "/projects/{project}/receivers/hook/test",
    "needs action": "/attention",
    "one check": "/attention?check=url_unreachable",
    "nothing needs action": "/attention?project=no-such-project",
    "status": "/status",
    "deliveries": "/deliveries?project={project}",
    "deliveries, nothing found": "/deliveries?repository=nobody/ever&tag=1.2.3&since=2h",
    "deliveries, bad filter": "/deliveries?since=yesterday&status=teapot",
    "delivery": "/deliveries/{delivery}",
    "delivery, of nonsense": "/deliveries/{nonsense}",
    "redeliver": "/deliveries/redeliver?project={project}",
    "redeliver, nothing": "/deliveries/redeliver?project=nowhere",
    "redelivered": "{redelivered}",
    "audit": "/audit",
    "not found": "/nothing-here",
}


def address(name: str, shop: KargoProject) -> str:
    """Return the address of a page that has something to show."""
    newest = deliveries_of(shop).filter(origin=Origin.PUSH).order_by("-id")
    started = deliveries_of(shop).filter(origin=Origin.REDELIVERY).order_by("id")
    values = {"project": shop.name}
    if "{delivery}" in PAGES[name]:
        values["delivery"] = str(newest.filter(tag="1.2.3")[0].pk)
    if "{nonsense}" in PAGES[name]:
        values["nonsense"] = str(newest.filter(outcome=Outcome.INVALID_BODY)[0].pk)
    if "{redelivered}" in PAGES[name]:
        first = started.first() or redeliver(newest.filter(tag="2.0.0")[0], "ada")
        at = urlencode({"at": first.received_at.isoformat()})
        values["redelivered"] = f"/deliveries/redelivered?{at}"
    return PAGES[name].format(**values)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier_in_either_theme(admin: Visitor, shop: KargoProject, name: str, theme: Theme):
    with admin.page(theme=theme) as watched:
        assert_accessible(watched.open(address(name, shop)))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone_and_has_no_barrier_there(admin: Visitor, shop: KargoProject, name: str):
    with admin.page(viewport=PHONE) as watched:
        page = watched.open(address(name, shop))
        assert_fits(page)
        assert_accessible(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_windows_of_all_widths(admin: Visitor, shop: KargoProject, name: str):
    with admin.page(viewport=DESK) as watched:
        page = watched.open(address(name, shop))
        for width in (1920, 1024, 800, 600, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert_fits(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_without_javascript(admin: Visitor, shop: KargoProject, name: str):
    with admin.page(javascript=False) as watched:
        page = watched.open(address(name, shop))
        assert page.locator("h1").inner_text()
        assert page.get_by_role("link", name="Cluster receivers").first.is_visible()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_sign_in_page_has_no_barrier(stranger: Visitor, theme: Theme, viewport: dict[str, int]):
    with stranger.page(theme=theme, viewport=viewport) as watched:
        page = watched.open("/sign-in")
        assert_fits(page)
        assert_accessible(page)
