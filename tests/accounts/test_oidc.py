"""Sign-in with an OpenID Connect provider, over HTTP."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User

from kargoweb.configuration import ConfigurationError, read_configuration
from receivers.models import Audit, ProviderIdentity
from tests.accounts.oidc_provider import OidcProvider
from tests.clusters import DemoCluster, until
from tests.product import Product
from tests.users import create_user, groups_of
from tests.web.html import visible_text
from tests.web.http_browser import HttpBrowser

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.any_database("about the provider; test_proxy_sign_in.py stores users of the same sort"),
]

ROLES = "payments=operator:payments, payments=viewer:shop, platform=admin"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """The provider."""
    with OidcProvider() as provider:
        yield provider


@pytest.fixture(scope="module")
def product(database: None, demo_cluster: DemoCluster, provider: OidcProvider) -> Iterator[Product]:
    """kargoweb, whose users sign in with the provider."""
    settings = {
        "KARGOWEB_OIDC_ISSUER": provider.url,
        "KARGOWEB_OIDC_CLIENT_ID": "kargoweb",
        "KARGOWEB_OIDC_CLIENT_SECRET": "only-for-tests",
        "KARGOWEB_OIDC_ROLES": ROLES,
        "KARGOWEB_OIDC_NAME": "Example Login",
    }
    with Product(demo_cluster.kubeconfig, **settings) as product:
        yield product


def sign_in(browser: HttpBrowser, subject: str, *, target: str = "") -> str:
    """Sign in as a user of the provider; return the page that kargoweb shows then."""
    browser.open(f"/sign-in/provider?next={target}")
    return browser.open(browser.url, {"sub": subject})


def test_a_user_signs_in_with_the_roles_of_the_groups(browser, provider, name):
    provider.add(name, preferred_username=name, groups=["payments", "unrelated"])
    page = sign_in(browser, name, target="/deliveries%3Ftag%3D1")
    assert browser.url.endswith("/deliveries?tag=1")
    assert name in page
    assert groups_of(name) == {"operator:payments", "viewer:shop"}
    assert not User.objects.get(username=name).has_usable_password()
    assert "Change password" not in page
    assert Audit.objects.filter(user=name, action="sign_in").count() == 1


def test_groups_are_read_again_at_every_sign_in(browser, provider, name):
    provider.add(name, preferred_username=name, groups=["payments"])
    sign_in(browser, name)
    provider.add(name, preferred_username="renamed", groups=["platform"])
    sign_in(browser, name)
    assert groups_of(name) == {"admin"}
    provider.add(name, preferred_username=name)
    sign_in(browser, name)
    assert groups_of(name) == set()


def test_a_user_without_a_mapped_group_is_informed(browser, provider, name):
    provider.add(name, preferred_username=name, groups="elsewhere")
    page = sign_in(browser, name)
    assert browser.status == 403
    assert "role" in visible_text(page)


def test_a_name_of_a_local_account_is_not_taken_over(browser, provider, name):
    local = create_user("admin")
    provider.add(name, preferred_username=local.username, groups=["payments"])
    page = sign_in(browser, name)
    assert browser.status == 403
    assert f"kargoweb already has another account named {local.username}" in visible_text(page)
    assert groups_of(local.username) == {"admin"}
    assert not ProviderIdentity.objects.filter(subject=name).exists()
    assert "/sign-in" in (browser.open("/projects") and browser.url)


def test_a_disabled_user_stays_out(browser, provider, name):
    provider.add(name, preferred_username=name, groups=["platform"])
    sign_in(browser, name)
    User.objects.filter(username=name).update(is_active=False)
    page = sign_in(browser, name)
    assert browser.status == 403
    assert "Your account is disabled" in visible_text(page)


@pytest.mark.parametrize("claims", [{}, {"preferred_username": " "}, {"preferred_username": "x" * 151}])
def test_a_user_without_a_usable_name_is_refused(browser, provider, name, claims):
    provider.add(name, groups=["platform"], **claims)
    page = sign_in(browser, name)
    assert browser.status == 403
    assert "The provider sent no user name (preferred_username)." in visible_text(page)


def test_a_refused_sign_in_is_explained(browser):
    browser.open("/sign-in/provider")
    page = browser.open(browser.url, {"action": "deny"})
    assert browser.status == 403
    assert "The provider did not sign you in." in visible_text(page)


def test_a_response_of_the_provider_is_valid_once_and_in_one_browser(browser, product, provider, name):
    provider.add(name, preferred_username=name, groups=["platform"])
    sign_in(browser, name)
    other = HttpBrowser(product)
    other.open("/sign-in/provider")
    state = parse_qs(urlsplit(other.url).query)["state"][0]
    for stranger in (browser, HttpBrowser(product)):
        page = stranger.open(f"/sign-in/callback?code=x&state={state}")
        assert stranger.status in {400, 403}
        assert "Sign in again" in visible_text(page)


def test_a_code_that_the_provider_does_not_know_is_no_sign_in(browser):
    browser.open("/sign-in/provider")
    state = parse_qs(urlsplit(browser.url).query)["state"][0]
    page = browser.open(f"/sign-in/callback?code=guessed&state={state}")
    assert browser.status == 503
    assert "The provider does not respond" in visible_text(page)
    assert "/sign-in" in (browser.open("/projects") and browser.url)


def test_the_sign_in_page_leads_to_no_other_site(browser, provider, name):
    provider.add(name, preferred_username=name, groups=["platform"])
    sign_in(browser, name, target="https%3A%2F%2Fevil.example.com%2F")
    assert browser.url.startswith("http://127.0.0.1:")


def test_signing_out_ends_the_session_at_the_provider_too(browser, provider, name):
    provider.add(name, preferred_username=name, groups=["platform"])
    sign_in(browser, name)
    browser.submit("/sign-out", on="/projects")
    address = urlsplit(browser.url)
    assert f"{address.scheme}://{address.netloc}" == provider.url
    assert address.path == "/oauth2/end_session"
    query = parse_qs(address.query)
    assert query["client_id"] == ["kargoweb"]
    assert urlsplit(query["post_logout_redirect_uri"][0]).path == "/sign-in"
    assert "/sign-in" in (browser.open("/projects") and browser.url)


def test_local_accounts_work_beside_it_and_sign_out_here_only(browser):
    user = create_user("viewer")
    page = browser.open("/sign-in")
    assert "Sign in with Example Login" in page
    browser.sign_in(user.username)
    page = browser.submit("/sign-out", on="/projects")
    assert browser.url.endswith("/sign-in")
    # Browsers check the redirect after the form, too.
    assert "form-action 'self' http://localhost:" in browser.headers["Content-Security-Policy"]


def test_users_who_are_signed_in_do_not_need_the_provider(browser, provider, name):
    provider.add(name, preferred_username=name, groups=["platform"])
    sign_in(browser, name)
    provider.away()
    try:
        browser.open("/projects")
        assert browser.status == 200
    finally:
        provider.back()


def test_without_the_provider_and_local_accounts_pages_say_so(database, demo_cluster, provider):
    settings = {
        "KARGOWEB_OIDC_ISSUER": provider.url,
        "KARGOWEB_OIDC_CLIENT_ID": "kargoweb",
        "KARGOWEB_OIDC_ROLES": ROLES,
        "KARGOWEB_LOCAL_ACCOUNTS": "false",
    }
    with Product(demo_cluster.kubeconfig, **settings) as product:
        browser = HttpBrowser(product)
        assert 'name="password"' not in browser.open("/sign-in")
        provider.away()
        try:
            page = browser.open("/sign-in/provider")
        finally:
            provider.back()
        assert browser.status == 503
        assert "The provider does not respond. Try again in a few minutes." in visible_text(page)
        # A failure is remembered for some seconds, so that a provider that hangs is not asked all the time.
        until(
            "the request to the provider is retried",
            lambda: browser.open("/sign-in/provider") and browser.status == 200,
        )
    wrong = settings | {"KARGOWEB_OIDC_ISSUER": provider.url + "/"}
    with Product(demo_cluster.kubeconfig, **wrong) as product:
        browser = HttpBrowser(product)
        assert "isn't the configured one" in visible_text(browser.open("/sign-in/provider"))
        assert "calls itself" in product.log()


VALID = {
    "KARGOWEB_OIDC_ISSUER": "https://login.example.com",
    "KARGOWEB_OIDC_CLIENT_ID": "kargoweb",
    "KARGOWEB_OIDC_ROLES": "a=viewer",
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"KARGOWEB_OIDC_ROLES": ""}, "KARGOWEB_OIDC_ROLES must be set"),
        ({"KARGOWEB_OIDC_CLIENT_ID": ""}, "KARGOWEB_OIDC_CLIENT_ID must be set"),
        ({"KARGOWEB_OIDC_ROLES": "a=owner"}, "must be pairs of a group and a role"),
        ({"KARGOWEB_OIDC_ROLES": "a=viewer:Not_A_Namespace"}, "must be pairs of a group and a role"),
        ({"KARGOWEB_OIDC_ISSUER": "http://login.example.com"}, "must be the https:// address"),
        ({"KARGOWEB_OIDC_SCOPES": "profile"}, "openid among them"),
    ],
)
def test_invalid_settings_stop_the_start_with_a_sentence(tmp_path, changes, sentence):
    variables = {"KARGOWEB_DATA_DIR": str(tmp_path)} | VALID | changes
    with pytest.raises(ConfigurationError) as error:
        read_configuration(variables)
    assert sentence in str(error.value)


def test_without_any_way_to_sign_in_kargoweb_does_not_start(tmp_path):
    with pytest.raises(ConfigurationError, match="nobody could sign in"):
        read_configuration({"KARGOWEB_DATA_DIR": str(tmp_path), "KARGOWEB_LOCAL_ACCOUNTS": "false"})


def test_a_group_can_have_several_roles_and_a_secret_is_not_shown(tmp_path):
    changes = {
        "KARGOWEB_OIDC_ROLES": "a=viewer:shop, b = admin ,a=operator:blog",
        "KARGOWEB_OIDC_CLIENT_SECRET": "hush",
    }
    configuration = read_configuration({"KARGOWEB_DATA_DIR": str(tmp_path)} | VALID | changes)
    assert configuration.oidc.roles == {"a": ("viewer:shop", "operator:blog"), "b": ("admin",)}
    assert "hush" not in repr(configuration)


def test_a_provider_that_hangs_is_asked_by_one_at_a_time(database, demo_cluster):
    """Connections to a socket that nobody accepts from are established by the kernel, and get no response."""
    with socket.create_server(("localhost", 0), backlog=64) as listener:
        settings = {
            "KARGOWEB_OIDC_ISSUER": f"http://localhost:{listener.getsockname()[1]}",
            "KARGOWEB_OIDC_CLIENT_ID": "kargoweb",
            "KARGOWEB_OIDC_ROLES": ROLES,
        }
        with Product(demo_cluster.kubeconfig, **settings) as product, ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: product.get("/sign-in/provider").status, range(16)))
            assert statuses == [503] * 16
            assert product.get("/sign-in").status == 200
        listener.settimeout(0.2)
        connections = 0
        with contextlib.suppress(TimeoutError):
            while True:
                listener.accept()[0].close()
                connections += 1
        # One, and others if the machine was so busy that a failure was forgotten in the meantime.
        assert 1 <= connections <= 4
