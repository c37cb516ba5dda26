"""Status: what is told, and to whom."""

from __future__ import annotations

import re
from html import unescape

import pytest
import yaml
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.clusters import DemoCluster, until
from tests.web.conftest import apart
from tests.web.visiting import Browser


def asked(browser: Browser) -> str:
    """Return the page once the permissions have been asked for."""
    until("they are known", lambda: "Checking permissions" not in browser.open("/status"))
    return unescape(browser.open("/status"))


def test_every_kind_is_told_with_its_last_contact_and_the_versions_are(signed_in, product):
    page = asked(signed_in("viewer"))
    table = page.partition('aria-label="Cluster sync"')[2].partition("</table>")[0]
    for kind in ("Project", "ProjectConfig", "ClusterConfig", "Warehouse", "Freight"):
        row = re.search(rf">{kind}</td>.*?</tr>", table, re.S)
        assert row
        assert "in sync" in row[0]
        assert "<time " in row[0]
    assert "Controller heartbeats" in table
    for name in ("kargoweb", "Python", "Django", "Kubernetes"):
        assert re.search(rf"<dt>{name}</dt>\s*<dd>\s*v?\d", page)
    assert re.search(rf"<dt>{connection.display_name}</dt>\s*<dd>\s*\d", page)
    assert re.search(r"<dt>Response time</dt>\s*<dd>\s*\d", page)


def test_only_an_admin_sees_configuration_and_addresses(signed_in, product):
    product.post("/dockerhub/" + "ab" * 32)
    admin = signed_in("admin")
    until("the call is counted", lambda: "…ababab" in asked(admin))
    page = asked(admin)
    assert "127.0.0.1" in page.partition("Requests to unknown URLs")[2]
    for setting in settings.KARGOWEB.settings:
        assert f"<code>{setting.name}</code>" in page
    viewer = asked(signed_in("viewer"))
    for hidden in ("…ababab", "127.0.0.1", "KARGOWEB_", "DATABASE_URL"):
        assert hidden not in viewer


def test_no_secret_is_shown_to_anybody(signed_in, product):
    page = asked(signed_in("admin"))
    row = re.search(r"<code>KARGOWEB_SECRET_KEY</code>.*?</tr>", page, re.S)
    assert row
    assert "hidden" in row[0]
    assert settings.KARGOWEB.secret_key not in page


@pytest.mark.parametrize(("group", "status"), [("viewer:shop", 404), ("admin:shop", 404), ("viewer", 200)])
def test_who_has_a_role_in_one_project_does_not_see_it(signed_in, product, group, status):
    browser = signed_in(group)
    browser.open("/status")
    assert browser.status == status


def test_it_costs_a_fixed_number_of_queries(inside):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert inside.get("/status").status_code == 200
        return len(captured)

    inside.get("/")  # the first page after a silence has everything looked at
    assert queries() == queries() <= 13


@pytest.fixture
def confined(tmp_path):
    """A product whose service account may do nothing, and an admin who looks at it."""
    with DemoCluster(tmp_path / "cluster") as cluster:
        kubeconfig = cluster.kubeconfig_for("nobody")
        with apart(kubeconfig, tmp_path, ready=False) as (_, browser):
            yield cluster, browser


def test_what_the_service_account_lacks_is_told_with_the_objects_to_paste(confined):
    _, browser = confined
    page = asked(browser)
    pasted = re.search(r"<pre>(.*?)</pre>", page, re.S)
    assert pasted
    kinds = [one["kind"] for one in yaml.safe_load_all(pasted[1])]
    assert kinds == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    assert "failing" in page
    assert "can't detect a shard without a controller" in page


def test_an_api_server_that_is_away_leaves_a_page_that_says_so(confined):
    cluster, browser = confined
    cluster.stop()
    until("it is told", lambda: "Some permissions couldn't be checked" in asked(browser))
    page = asked(browser)
    assert "The initial cluster sync hasn't finished" in page
    assert "unknown" in page
