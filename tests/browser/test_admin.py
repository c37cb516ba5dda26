"""Django admin in a browser: its own scripts and styles obey the Content-Security-Policy."""

from __future__ import annotations

import secrets

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from tests.browser.pages import THEMES, Theme, Visitor
from tests.delivery_rows import deliveries_of
from tests.users import create_user
from tests.worlds import KargoProject

PATHS = (
    "/admin/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/user/{user}/change/",
    "/admin/auth/user/{user}/password/",
    "/admin/auth/user/{user}/delete/",
    "/admin/auth/user/{user}/history/",
    "/admin/auth/group/",
    "/admin/auth/group/{group}/change/",
    "/admin/receivers/",
    "/admin/receivers/delivery/",
    "/admin/receivers/delivery/?q=example/shop&outcome=refreshed",
    "/admin/receivers/delivery/{delivery}/change/",
    "/admin/receivers/refresh/",
    "/admin/receivers/audit/",
    "/admin/receivers/receiverurl/",
    "/admin/receivers/unknowncall/",
)


@pytest.mark.parametrize("path", PATHS)
def test_no_page_breaks_the_content_security_policy(superuser: Visitor, shop: KargoProject, path: str):
    user = create_user("viewer")
    values = {
        "user": str(user.pk),
        "group": str(Group.objects.get(name="viewer").pk),
        "delivery": str(deliveries_of(shop)[0].pk),
    }
    with superuser.page() as monitored:  # which fails on exit if the policy was violated
        page = monitored.open(path.format(**values))
        expect(page.locator("#site-name")).to_have_text("kargoweb")
        header = page.evaluate("getComputedStyle(document.querySelector('#header')).backgroundColor")
        assert header == "rgb(65, 118, 144)"  # the style sheet of the admin is in effect


@pytest.mark.parametrize("theme", THEMES)
def test_a_user_can_be_put_into_a_group(superuser: Visitor, shop: KargoProject, theme: Theme):
    user = create_user()
    group = Group.objects.create(name=f"operator:{secrets.token_hex(4)}")
    with superuser.page(theme=theme) as monitored:
        page = monitored.open("/")
        page.locator(".menu summary").click()
        page.get_by_role("link", name="Django admin").click()
        page.get_by_role("link", name="Users", exact=True).first.click()
        # Not the search of the sidebar. Without it, the user is on the first page only while there are few.
        page.locator("#searchbar").fill(user.username)
        page.keyboard.press("Enter")
        page.get_by_role("link", name=user.username).click()
        page.locator("#id_groups_from").select_option(group.name)
        page.locator("#id_groups_add").click()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".messagelist .success")).to_contain_text("changed successfully")
        monitored.assert_no_errors()
    assert list(User.objects.get(pk=user.pk).groups.all()) == [group]
