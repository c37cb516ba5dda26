"""Every page is accessible, fits all window sizes, works without JavaScript and reports no errors.

Add new pages to `PAGES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page

from receivers.deliveries.redelivery import redeliver
from receivers.models import Alert, AlertChannel, AlertMessage, Origin, Outcome
from receivers.ops.alerts.encryption import encrypt
from tests.browser.pages import (
    DESKTOP,
    PHONE,
    THEMES,
    MonitoredPage,
    Theme,
    Visitor,
    assert_accessible,
    assert_contrast,
    assert_fits,
)
from tests.delivery_rows import deliveries_of
from tests.worlds import KargoProject

PAGES = {
    "overview": "/",
    "search": "/search?q=app",
    "projects": "/projects",
    "projects, no results": "/projects?q=no+such+project",
    "projects, bad search": f"/projects?q={'x' * 256}",
    "project": "/projects/{project}",
    "cluster receivers": "/cluster",
    "new receiver": "/receivers/new?project={project}",
    "registration": "/projects/{project}/receivers/waiting/registration",
    "registration of a receiver that doesn't exist": "/projects/{project}/receivers/nothing/registration",
    "send test push": "/projects/{project}/receivers/hook/test",
    "send test push, bad fields": "/projects/{project}/receivers/hook/test?repository=",
    "needs action": "/attention",
    "findings of a check": "/attention?check=url_unreachable",
    "no findings": "/attention?project=no-such-project",
    "findings, bad filter": "/attention?severity=fatal&check=nonsense",
    "status": "/status",
    "pushes": "/pushes?project={project}",
    "pushes, filtered": "/pushes?project={project}&outcome=bad&time=2h&tag=x&since=2026-03-01T09:30",
    "pushes, bad filter": f"/pushes?time=soon&status=teapot&tag={'x' * 256}",
    "deliveries": "/deliveries?project={project}",
    "deliveries, no results": "/deliveries?repository=nobody/ever&tag=1.2.3&since=2h",
    "deliveries, bad filter": f"/deliveries?since=yesterday&status=teapot&tag={'x' * 256}",
    "push": "/pushes/{push}",
    "push that matches nothing": "/pushes/{rejected}",
    "delivery": "/deliveries/{delivery}",
    "delivery with an invalid body": "/deliveries/{invalid}",
    "redeliver": "/deliveries/redeliver?project={project}",
    "redeliver, no deliveries": "/deliveries/redeliver?project=nowhere",
    "redelivered": "{redelivered}",
    "alerts": "/alerts",
    "new alert channel": "/alerts/new",
    "alert channel": "/alerts/{channel}",
    "audit": "/audit",
    "API tokens": "/tokens",
    "change password": "/password",
    "not found": "/nothing-here",
}


def path_of(name: str, shop: KargoProject) -> str:
    """Return the path of a page, of a delivery in `shop` where it needs one."""
    pushes = deliveries_of(shop).filter(origin=Origin.PUSH).order_by("-id")
    redeliveries = deliveries_of(shop).filter(origin=Origin.REDELIVERY).order_by("id")
    values = {"project": shop.name}
    if "{delivery}" in PAGES[name]:
        values["delivery"] = str(pushes.filter(tag="1.2.3")[0].pk)
    if "{push}" in PAGES[name]:
        values["push"] = str(pushes.filter(tag="1.2.3")[0].push_id)
    if "{rejected}" in PAGES[name]:
        values["rejected"] = str(pushes.filter(tag="2.0.0")[0].push_id)
    if "{invalid}" in PAGES[name]:
        values["invalid"] = str(pushes.filter(outcome=Outcome.INVALID_BODY)[0].pk)
    if PAGES[name].startswith("/alerts"):
        values["channel"] = str(channel_of(shop).pk)
    if "{redelivered}" in PAGES[name]:
        first = redeliveries.first() or redeliver(pushes.filter(tag="2.0.0")[0], "ada")
        at = urlencode({"at": first.received_at.isoformat()})
        values["redelivered"] = f"/deliveries/redelivered?{at}"
    return PAGES[name].format(**values)


def channel_of(shop: KargoProject) -> AlertChannel:
    """Return an alert channel with a message that failed. It is disabled, so that nothing is sent."""
    channel, created = AlertChannel.objects.get_or_create(
        project=shop.name,
        name="chat-of-the-team",
        defaults={
            "kind": "slack", "enabled": False, "created_by": "ada", "address": encrypt("https://chat.example.com/x")
        },
    )  # fmt: skip
    if created:
        message = "Urgent: example/a-repository-with-a-long-name:1.2.3-build.20260301: discovery failed (and 3 more)"
        AlertMessage.objects.create(channel=channel, title=message, attempts=3, answer="404 no_service")
        Alert.objects.create(
            scope=shop.name,
            key=shop.name,
            kind="push",
            severity="urgent",
            title=message,
            text=message,
            path="/pushes",
        )
    return channel


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, admin: Visitor, shop: KargoProject) -> Iterator[Page]:
    """Each page in turn. It is opened once for all tests of it, because a new browser context takes long."""
    with admin.page() as monitored:
        yield monitored.open(path_of(request.param, shop))


@pytest.fixture(scope="module")
def without_javascript(admin: Visitor) -> Iterator[MonitoredPage]:
    """A browser without JavaScript."""
    with admin.page(javascript=False) as monitored:
        yield monitored


def test_a_page_is_accessible(page: Page):
    page.set_viewport_size(DESKTOP)
    assert_accessible(page)


def test_a_page_has_enough_contrast_in_the_dark(page: Page):
    page.set_viewport_size(DESKTOP)
    # Without motion, because colors that fade from one theme to the other have too little contrast meanwhile.
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert_contrast(page)


def test_a_page_fits_a_phone_and_is_accessible_there(page: Page):
    page.set_viewport_size(PHONE)
    assert_fits(page)
    assert_accessible(page)


def test_a_page_fits_windows_of_all_widths(page: Page):
    for width in (1920, 1024, 800, 600, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert_fits(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_without_javascript(
    without_javascript: MonitoredPage, shop: KargoProject, name: str
):
    page = without_javascript.open(path_of(name, shop))
    assert page.locator("h1").inner_text()
    assert page.get_by_role("link", name="Projects", exact=True).first.is_visible()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_sign_in_page_is_accessible(anonymous: Visitor, theme: Theme, viewport: dict[str, int]):
    with anonymous.page(theme=theme, viewport=viewport) as monitored:
        page = monitored.open("/sign-in")
        assert_fits(page)
        assert_accessible(page)
