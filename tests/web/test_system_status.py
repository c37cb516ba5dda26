"""The status page: sync, versions, configuration, permissions and who can see them."""

from __future__ import annotations

import json
import random
import re
from html import unescape

import pytest
import yaml
from django.conf import settings
from django.db import connection
from django.template.loader import render_to_string
from django.utils import timezone

from receivers.health.access_reviews import AccessReviewResults
from receivers.models import Outcome
from tests.clusters import DemoCluster, until
from tests.databases import temporary_database
from tests.deliveries.rows import delivery, store
from tests.product import Product
from tests.users import create_session, create_user
from tests.web.conftest import other_installation
from tests.web.html import visible_text
from tests.web.http_browser import HttpBrowser
from tests.web.queries import query_count


def status_page(browser: HttpBrowser) -> str:
    """Return the page once the permissions have been checked."""
    until("the permissions are known", lambda: "Checking permissions" not in browser.open("/status"))
    return unescape(browser.open("/status"))


def test_the_sync_state_of_each_kind_and_the_versions_are_shown(signed_in, product):
    page = status_page(signed_in("viewer"))
    table = page.partition('aria-label="Cluster sync"')[2].partition("</table>")[0]
    for kind in ("Project", "ProjectConfig", "ClusterConfig", "Warehouse", "Freight"):
        row = re.search(rf">{kind}</td>.*?</tr>", table, re.S)
        assert row
        assert "in sync" in row[0]
        assert "<time " in row[0]
    assert "Controller heartbeats" in table
    assert "1.11 or later (from the schemas of its resource types)" in page
    for name in ("kargoweb", "Kargo", "Python", "Django", "Kubernetes"):
        assert re.search(rf"<dt>{name}</dt>\s*<dd>\s*v?\d", page)
    assert re.search(rf"<dt>{connection.display_name}</dt>\s*<dd>\s*\d", page)
    assert re.search(r"<dt>Response time</dt>\s*<dd>\s*\d", page)


def test_only_an_admin_sees_configuration_and_addresses(signed_in, product):
    product.post("/dockerhub/" + "ab" * 32)
    admin = signed_in("admin")
    until("the request is counted", lambda: "…ababab" in status_page(admin))
    page = status_page(admin)
    assert "127.0.0.1" in page.partition("Requests to unknown URLs")[2]
    for setting in settings.KARGOWEB.settings:
        assert f"<code>{setting.name}</code>" in page
    viewer = status_page(signed_in("viewer"))
    for hidden in ("…ababab", "KARGOWEB_", "DATABASE_URL"):
        assert hidden not in viewer
    # With a port, it is that of the API server, if a watch has failed lately.
    assert not re.search(r"127\.0\.0\.1(?!:\d)", viewer)


def test_no_secret_is_shown_even_to_an_admin(signed_in, product):
    page = status_page(signed_in("admin"))
    row = re.search(r"<code>KARGOWEB_SECRET_KEY</code>.*?</tr>", page, re.S)
    assert row
    assert "hidden" in row[0]
    assert settings.KARGOWEB.secret_key not in page


@pytest.mark.parametrize(("group", "status"), [("viewer:shop", 404), ("admin:shop", 404), ("viewer", 200)])
def test_a_role_in_one_project_does_not_open_the_page(signed_in, product, group, status):
    browser = signed_in(group)
    browser.open("/status")
    assert browser.status == status


def test_the_number_of_queries_is_constant(admin_client):
    admin_client.get("/")  # the first page after a while runs the health checks
    assert query_count(admin_client, "/status") == query_count(admin_client, "/status") <= 13


@pytest.mark.e2e
def test_bodies_that_a_quota_costs_are_reported(database, demo_cluster, seed):
    body = random.Random(seed).randbytes(500_000)
    with temporary_database():
        rows = store(*(delivery("shop", n, outcome=Outcome.INVALID_BODY, body=body) for n in range(5)))
        session = create_session(create_user("admin"))
        with Product(demo_cluster.kubeconfig, KARGOWEB_RECEIVER_BODY_QUOTA="1") as product:
            browser = HttpBrowser(product)
            browser.resume_session(session)
            dropped = "Quota reached: this process dropped 3 bodies, the last"
            until("it is reported", lambda: dropped in visible_text(browser.open("/status")))
            assert re.search(r"the last .* from shop/hook\.", visible_text(browser.open("/status")))
            page = visible_text(browser.open(f"/deliveries/{rows[0].pk}"))
            assert "The body was dropped because of its age or the quota for stored bodies." in page
            request = json.loads(browser.open(f"/api/v1/deliveries/{rows[0].pk}"))["request"]
            fields = ("body", "body_base64", "body_size", "body_dropped")
            assert [request[field] for field in fields] == ["", None, 500_000, True]


@pytest.fixture
def restricted_installation(database, tmp_path):
    """A product whose service account has no permissions: its cluster, and a browser with an admin signed in."""
    with DemoCluster(tmp_path / "cluster") as cluster:
        kubeconfig = cluster.kubeconfig_for("nobody")
        with other_installation(kubeconfig, ready=False) as (_, browser):
            yield cluster, browser


@pytest.mark.e2e
def test_missing_permissions_are_shown_with_objects_that_grant_them(restricted_installation):
    _, browser = restricted_installation
    page = status_page(browser)
    manifests = re.search(r'<pre class="code">(.*?)</pre>', page, re.S)
    assert manifests
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(manifests[1])]
    assert kinds == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    assert "failing" in page
    assert re.search(r'<h2 class="big" id="verdict">[^<]*Required permissions are missing', page)
    assert "can't detect a shard without a controller" in page


@pytest.mark.e2e
def test_an_unreachable_api_server_is_reported(restricted_installation):
    cluster, browser = restricted_installation
    cluster.stop()
    until("the failed check is shown", lambda: "Some permissions couldn't be checked" in status_page(browser))
    page = status_page(browser)
    assert "The initial cluster sync hasn't finished" in page
    assert "unknown" in page


@pytest.mark.parametrize(
    "reviews", [None, AccessReviewResults(timezone.now(), error="the API server timed out")]
)
def test_the_verdict_claims_no_permissions_that_were_not_checked(reviews):
    context = {"reviews": reviews, "problems": [], "syncing": False}
    verdict = render_to_string("ops/_status.html", context).partition("</section>")[0]
    assert "in sync with the cluster." in verdict
    assert "permissions" not in verdict


def test_only_what_was_generated_is_called_so(signed_in, product):
    page = status_page(signed_in("admin"))
    cells = dict(re.findall(r"<code>([A-Z_]+)</code>\s*</td>\s*<td>\s*(.*?)\s*</td>", page, re.S))
    assert "generated" not in cells["KARGOWEB_EMAIL_URL"]
    assert "generated" not in cells["DATABASE_URL"]
