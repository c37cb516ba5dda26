"""Sign-in by the headers of a trusted proxy, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from kargoweb.configuration import ConfigurationError, read_configuration
from receivers.models import Audit
from tests.clusters import DemoCluster
from tests.product import Product
from tests.users import create_user, groups_of
from tests.web.http_browser import HttpBrowser

pytestmark = pytest.mark.e2e
ROLES = "payments=operator:payments,platform=admin"


@pytest.fixture(scope="module")
def product(database: None, demo_cluster: DemoCluster) -> Iterator[Product]:
    """kargoweb, which trusts this machine."""
    settings = {"KARGOWEB_PROXY_ADDRESSES": "10.9.8.7, 127.0.0.0/30", "KARGOWEB_PROXY_ROLES": ROLES}
    with Product(demo_cluster.kubeconfig, **settings) as product:
        yield product


def named(name: str, groups: str = "", **headers: str) -> dict[str, str]:
    return {"X-Forwarded-User": name, "X-Forwarded-Groups": groups, **headers}


def test_the_proxys_user_is_signed_in_with_the_roles_of_the_groups(browser, name):
    page = browser.open("/projects", headers=named(name, "staff, platform"))
    assert browser.status == 200
    assert name in page
    assert groups_of(name) == {"admin"}
    for _ in range(3):
        browser.open("/deliveries", headers=named(name, "staff, platform"))
    assert Audit.objects.filter(user=name, action="sign_in").count() == 1


def test_roles_follow_the_header_at_once(browser, name):
    browser.open("/projects", headers=named(name, "platform"))
    browser.open("/projects", headers=named(name, "payments"))
    assert groups_of(name) == {"operator:payments"}
    browser.open("/projects", headers=named(name))
    assert browser.status == 403
    assert groups_of(name) == set()


def test_a_request_without_the_header_ends_the_session(browser, name):
    browser.open("/projects", headers=named(name, "platform"))
    browser.open("/projects")
    assert "/sign-in" in browser.url


def test_another_name_is_another_session(browser, name):
    browser.open("/projects", headers=named(name, "platform"))
    page = browser.open("/projects", headers=named(f"{name}-2", "platform"))
    assert f"{name}-2" in page


def test_a_local_account_is_neither_taken_over_nor_ended(browser, name):
    user = create_user("viewer")
    page = browser.open("/projects", headers=named(user.username, "platform"))
    assert browser.status == 403
    assert f"kargoweb already has another account named {user.username}" in page
    browser.sign_in(user.username)
    browser.open("/projects")
    assert browser.status == 200


def test_a_disabled_user_stays_out(browser, name):
    browser.open("/projects", headers=named(name, "platform"))
    User.objects.filter(username=name).update(is_active=False)
    page = browser.open("/projects", headers=named(name, "platform"))
    assert (browser.status, page) == (403, "Your account is disabled.\n")


def test_names_that_look_the_same_are_refused(browser):
    for user in ("Jos\u00e9", "Zo\u00eb"):
        page = browser.open("/projects", headers=named(user, "platform"))
        assert browser.status == 403
        assert "The user name is not ASCII." in page
    assert not User.objects.filter(username__contains="\N{REPLACEMENT CHARACTER}").exists()


def test_the_api_knows_the_user(browser, name):
    browser.open("/api/v1/deliveries", headers=named(name, "platform"))
    assert browser.status == 200


def test_the_header_counts_only_from_the_proxy(database, demo_cluster, name):
    settings = {"KARGOWEB_PROXY_ADDRESSES": "192.0.2.1", "KARGOWEB_PROXY_ROLES": ROLES}
    with Product(demo_cluster.kubeconfig, **settings, KARGOWEB_FORWARDED_HOPS="1") as product:
        browser = HttpBrowser(product)
        # The connection counts, not what a header says about it.
        for headers in ({}, {"X-Forwarded-For": "192.0.2.1"}):
            page = browser.open("/projects", headers=named(name, "platform", **headers))
            assert (browser.status, page) == (403, "Only the proxy may send the header X-Forwarded-User.\n")
        assert not User.objects.filter(username=name).exists()
        assert "from 127.0.0.1, which is not in KARGOWEB_PROXY_ADDRESSES" in product.log()
        assert product.status("/healthz") == 200
        browser.open("/projects")
        assert "/sign-in" in browser.url


def test_without_the_setting_the_header_means_nothing(shared_product, name):
    browser = HttpBrowser(shared_product)
    browser.open("/projects", headers=named(name, "platform"))
    assert "/sign-in" in browser.url


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"KARGOWEB_PROXY_ROLES": ""}, "KARGOWEB_PROXY_ROLES must be set"),
        ({"KARGOWEB_PROXY_ADDRESSES": "proxy.example.com"}, "must be IP addresses or networks"),
        ({"KARGOWEB_PROXY_USER_HEADER": "X Forwarded"}, "must be the name of a header"),
    ],
)
def test_invalid_settings_stop_the_start_with_a_sentence(tmp_path, changes, sentence):
    valid = {
        "KARGOWEB_DATA_DIR": str(tmp_path),
        "KARGOWEB_PROXY_ADDRESSES": "::1",
        "KARGOWEB_PROXY_ROLES": ROLES,
    }
    assert read_configuration(valid).proxy.addresses
    with pytest.raises(ConfigurationError, match=sentence):
        read_configuration(valid | changes)
