"""API tokens: what they permit, and how they end."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from receivers.accounts import tokens
from receivers.accounts.access import access_of
from receivers.models import ApiToken, Audit, TokenScope
from tests.commands.running import run
from tests.deliveries.rows import store, unique_name
from tests.product import Product
from tests.users import create_user
from tests.web.deliveries import failed_delivery
from tests.web.html import visible_text

pytestmark = pytest.mark.usefixtures("database")
LIST = "/api/v1/deliveries"


def new(
    groups: tuple[str, ...] = ("operator",), scope: TokenScope = TokenScope.READ, **options
) -> tuple[ApiToken, str]:
    """Create a token of a new user."""
    return tokens.create(create_user(*groups), "ci", scope, **options)


def request(product: Product, text: str, path: str = LIST, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Send a request with a token; return the status and the JSON of the response."""
    headers = {"Authorization": f"Bearer {text}"}
    response = product.http.request(method, product.url + path, headers=headers)
    return response.status, json.loads(response.data)


@pytest.mark.parametrize(
    ("groups", "scope", "limit", "seen", "redelivered"),
    [
        (("admin",), TokenScope.READ, "", {200}, 403),
        (("admin",), TokenScope.OPERATE, "", {200}, 201),
        (("operator",), TokenScope.OPERATE, "", {200}, 201),
        (("viewer",), TokenScope.OPERATE, "", {200}, 403),
        (("operator:{own}",), TokenScope.OPERATE, "", {200}, 201),
        (("operator:other",), TokenScope.OPERATE, "", {404}, 404),
        (("admin",), TokenScope.OPERATE, "{own}", {200}, 201),
        (("admin",), TokenScope.OPERATE, "other", {404}, 404),
        (("operator:{own}",), TokenScope.READ, "{own}", {200}, 403),
        ((), TokenScope.OPERATE, "", {403}, 403),
    ],
)
def test_a_token_permits_what_its_owner_may_within_its_limits(
    product, groups, scope, limit, seen, redelivered
):
    own = unique_name()
    [row] = store(failed_delivery(own))
    owner = tuple(group.format(own=own) for group in groups)
    _, text = new(owner, scope, project=limit.format(own=own))
    status, _ = request(product, text, f"{LIST}/{row.pk}")
    assert {status} == seen
    # No CSRF token: a browser never sends a token by itself.
    status, _ = request(product, text, f"{LIST}/{row.pk}/redeliver", "POST")
    assert status == redelivered
    details = Audit.objects.filter(action="redeliver", delivery=row.pk).values_list("detail", flat=True)
    assert [f"by API token ci (...{text[-4:]})" in detail for detail in details] == [True] * (
        redelivered == 201
    )


@pytest.mark.parametrize("how", ["expired", "revoked", "disabled", "unknown", "no token", "deleted"])
def test_a_token_that_is_not_valid_gets_401(product, how):
    token, text = new(expires_at=timezone.now() - timedelta(seconds=1) if how == "expired" else None)
    if how == "revoked":
        tokens.revoke(token)
    if how == "disabled":
        User.objects.filter(pk=token.user_id).update(is_active=False)
    if how == "deleted":
        token.user.delete()
    text = {"unknown": tokens.PREFIX + "x" * 43, "no token": "x"}.get(how, text)
    status, answer = request(product, text)
    assert (status, answer["code"]) == (401, "authentication_failed")


def test_roles_are_those_of_the_moment(product):
    token, text = new(("viewer",))
    assert request(product, text)[0] == 200
    token.user.groups.clear()
    assert request(product, text)[0] == 403


def test_the_use_of_a_token_is_recorded_and_its_text_is_not_stored(product):
    token, text = new()
    assert request(product, text)[0] == 200
    row = ApiToken.objects.get(pk=token.pk)
    assert row.last_used_at is not None
    assert text.encode() not in bytes(row.secret_hash)
    assert text not in product.log()


def test_a_token_opens_no_page(product):
    _, text = new(("admin",))
    headers = {"Authorization": f"Bearer {text}"}
    response = product.http.request("GET", product.url + "/deliveries", headers=headers, redirect=False)
    assert response.status == 302
    assert "/sign-in" in response.headers["Location"]


@pytest.mark.e2e
def test_too_many_requests_with_a_token_get_429(database, demo_cluster):
    with Product(demo_cluster.kubeconfig, KARGOWEB_API_RATE="3") as product:
        _, text = new()
        statuses = [request(product, text)[0] for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert request(product, new()[1])[0] == 200


class TestPage:
    def test_a_token_is_shown_once_and_can_be_revoked(self, signed_in, product):
        browser = signed_in("operator")
        form = {"name": "ci of payments", "scope": "operate", "project": "", "days": "30"}
        page = browser.submit("/tokens", form, on="/tokens")
        [text] = set(re.findall(r"kgw_[\w-]{43}", page))
        assert request(product, text)[0] == 200
        page = browser.open("/tokens")
        assert text not in page
        assert f"ci of payments ends in {text[-4:]}" in visible_text(page)
        [path] = re.findall(r'action="(/tokens/[^"]+/revoke)"', page)
        page = browser.submit(path, on="/tokens")
        assert "Revoked ci of payments." in visible_text(page)
        assert request(product, text)[0] == 401
        token = ApiToken.objects.get(hint=text[-4:], name="ci of payments")
        actions = Audit.objects.filter(user=token.user.username).values_list("action", flat=True)
        assert {"create_token", "revoke_token"} <= set(actions)

    def test_a_token_can_be_limited_to_own_projects_only(self, signed_in):
        browser = signed_in("viewer:shop")
        form = {"name": "x", "scope": "read", "days": "0"}
        assert "You have no role in this project." in browser.submit(
            "/tokens", form | {"project": "blog"}, on="/tokens"
        )
        assert browser.status == 400
        assert "Copy it now" in browser.submit("/tokens", form | {"project": "shop"}, on="/tokens")

    def test_nobody_revokes_the_token_of_another(self, signed_in, product):
        token, text = new()
        browser = signed_in("admin")
        browser.submit(f"/tokens/{token.pk}/revoke", on="/tokens")
        assert browser.status == 404
        assert request(product, text)[0] == 200


def test_the_command_creates_lists_and_revokes(product):
    user = create_user("viewer:shop")
    text = run("token", "create", user.username, "nightly", "--project", "shop", "--days", "7").out.strip()
    assert request(product, text)[0] == 200
    token = ApiToken.objects.get(user=user)
    assert token.expires_at is not None
    assert tokens.access_with(token) == access_of(user).limited(tokens.HIGHEST_ROLE[TokenScope.READ], "shop")
    [line] = [line for line in run("token", "list").out.splitlines() if str(token.pk) in line]
    assert f"nightly (...{text[-4:]})" in line
    assert text not in line
    assert run("token", "revoke", str(token.pk)).out == f"Revoked nightly (...{text[-4:]})\n"
    assert request(product, text)[0] == 401
