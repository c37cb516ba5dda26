"""Needs action: findings, filters, visibility, mutes and the number of queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from receivers.health.checks import Check
from receivers.kargo.resources import PROJECT_CONFIGS
from receivers.models import Audit, KargoController, Mute
from receivers.ops import runtime
from tests.clusters import DemoCluster, until
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.users import create_session, create_user
from tests.web.conftest import other_installation
from tests.web.html import seen_version
from tests.web.http_browser import HttpBrowser
from tests.worlds import KargoProject, World, image

FINDING = re.compile(r'href="/attention/([0-9a-f]{32})"')
CHECK = "URLs that providers can't reach"  # every project of these tests has this finding


@pytest.fixture(scope="module")
def listed_projects(shared_product: Product, demo_cluster: DemoCluster) -> Iterator[Iterator[KargoProject]]:
    """Yield projects with a finding that is already listed, one for each test.

    The product runs its checks every few seconds. Otherwise each test would wait for the next time.
    """
    browser = HttpBrowser(shared_product)
    browser.resume_session(create_session(create_user("viewer")))
    with World(demo_cluster.kubeconfig) as world:
        projects = [world.project() for _ in range(20)]
        for project in projects:
            open_findings(browser, project)
        yield iter(projects)


@pytest.fixture
def project(listed_projects: Iterator[KargoProject], product: Product) -> KargoProject:
    """A project with a finding that is listed."""
    return next(listed_projects)


def open_findings(browser: HttpBrowser, project: KargoProject, query: str = "") -> str:
    """Return the page with a project's findings once there are any; `query` has more parameters."""

    def page() -> str:
        text = unescape(browser.open(f"/attention?project={project.name}{query}"))
        return text if CHECK in text and FINDING.search(text) else ""

    return until("the project has findings", page)


def test_a_finding_has_a_reason_a_remedy_and_a_link_to_its_object(signed_in, project):
    page = open_findings(signed_in("viewer"), project)
    assert CHECK in page
    assert 'the host "hooks" is a name without a domain' in page
    assert "Use a public host name" in page
    assert f'href="/projects/{project.name}#receiver-hook"' in page


def test_a_remedy_includes_a_command(signed_in, world):
    project = world.bare_project()
    project.publish("hook")
    unpublished = [{"name": "new", "dockerhub": {"secretRef": {"name": "x"}}}]
    world.cluster.patch(
        PROJECT_CONFIGS, project.name, project.name, {"spec": {"webhookReceivers": unpublished}}
    )
    browser = signed_in("viewer")
    line = f"<code>kubectl describe projectconfig {project.name} -n {project.name}</code>"
    path = f"/attention?project={project.name}"
    until("the command is shown", lambda: line in unescape(browser.open(path)))


@pytest.mark.parametrize(
    ("query", "expected"),
    [("&severity=urgent", True), ("&severity=warning", False), ("&severity=nonsense", False),
     ("&check=url_unreachable", True), ("&check=nonsense", False)],
)  # fmt: skip
def test_filters_are_query_parameters(signed_in, project, query, expected):
    browser = signed_in("viewer")
    open_findings(browser, project)
    page = unescape(browser.open(f"/attention?project={project.name}{query}"))
    assert (CHECK in page.partition('id="attention"')[2]) == expected
    assert ("No finding matches this filter" in page) == (not expected)


@pytest.mark.parametrize(
    ("query", "field", "error"),
    [
        ("severity=fatal", "severity", "Severity must be one of urgent, warning, note."),
        ("check=nonsense", "check", "Check “nonsense” doesn't exist."),
        (f"project={'x' * 256}", "project", "Project can have at most 255 characters."),
    ],
)
def test_an_invalid_filter_has_an_error_and_lists_nothing(signed_in, product, query, field, error):
    page = unescape(signed_in("viewer").open(f"/attention?{query}"))
    assert f'<p class="error" id="{field}_error">{error}</p>' in page
    assert not FINDING.search(page)


def test_a_role_in_one_project_shows_no_findings_of_others_or_the_cluster(signed_in, listed_projects):
    own, other = next(listed_projects), next(listed_projects)
    open_findings(signed_in("viewer"), other)
    page = signed_in(f"viewer:{own.name}").open("/attention")
    assert own.name in page
    assert other.name not in page
    assert ">Cluster<" not in page


def urgent_finding(browser, project) -> str:
    """Return the key of the project's first urgent finding."""
    link = FINDING.search(open_findings(browser, project, "&severity=urgent"))
    assert link
    return link[1]


def test_an_operator_can_mute_and_unmute_and_is_audited(signed_in, project):
    browser = signed_in(f"operator:{project.name}")
    key = urgent_finding(browser, project)
    path = f"/attention/{key}"
    count = until(
        "the finding is counted", lambda: re.search(r'class="count">(\d+)<', browser.open("/attention"))
    )
    page = browser.submit(path, {"note": "only <b>here</b>"}, on=path)
    assert "Muted until it changes" in page
    assert re.search(r'<h2>Muted</h2>\s*<span class="count"', page)
    assert "only &lt;b&gt;here&lt;/b&gt;" in page
    assert f'class="count">{count[1]}<' not in page
    assert 'id="attention"' in page
    assert key not in page.partition('id="attention"')[2].partition("<details")[0]
    page = browser.submit(path, {"unmute": "yes"}, on=path)
    assert "Unmuted" in page
    assert f'class="count">{count[1]}<' in page
    assert not Mute.objects.filter(project=project.name).exists()
    entries = Audit.objects.filter(project=project.name).order_by("at").values_list("action", "detail")
    assert list(entries) == [
        ("mute", "url_unreachable of hook"), ("unmute", "url_unreachable of hook")
    ]  # fmt: skip


def test_several_findings_are_muted_at_once(signed_in, project):
    browser = signed_in(f"operator:{project.name}")
    key = urgent_finding(browser, project)
    page = browser.submit("/attention", {"key": [key, "no-such-finding"], "note": "known"}, on="/attention")
    assert "Muted 1 finding until it changes" in page
    assert "1 of the selected findings have changed, or you can&#x27;t mute them" in page
    assert Mute.objects.get(project=project.name).note == "known"
    assert Audit.objects.filter(project=project.name, action="mute").count() == 1


def test_muting_nothing_asks_for_a_selection(signed_in, project):
    page = signed_in("operator").submit("/attention", {"note": ""}, on="/attention")
    assert "Select the findings to mute" in page


def test_a_viewer_mutes_nothing_by_selection(signed_in, project):
    browser = signed_in("viewer")
    key = urgent_finding(browser, project)
    page = browser.submit("/attention", {"key": key, "note": ""}, on="/")
    assert "you can&#x27;t mute them" in page
    assert not Mute.objects.filter(project=project.name).exists()


@pytest.mark.parametrize(
    ("group", "status"),
    [
        ("viewer", 403),
        ("viewer:{project}", 403),
        ("operator:elsewhere", 404),
        ("operator", 200),
        ("admin", 200),
    ],
)
def test_only_operators_can_mute(signed_in, project, group, status):
    key = urgent_finding(signed_in("viewer"), project)
    browser = signed_in(group.format(project=project.name))
    browser.submit(f"/attention/{key}", {"note": ""}, on="/")
    assert browser.status == status
    assert Mute.objects.filter(project=project.name).exists() == (status == 200)


def test_a_request_without_a_csrf_token_mutes_nothing(signed_in, project):
    browser = signed_in("operator")
    key = urgent_finding(browser, project)
    browser.open(f"/attention/{key}", {"note": "forged"})
    assert browser.status == 403
    assert not Mute.objects.filter(project=project.name).exists()


def test_a_reason_that_is_too_long_is_rejected_with_an_error(signed_in, project):
    browser = signed_in("operator")
    path = f"/attention/{urgent_finding(browser, project)}"
    page = browser.submit(path, {"note": "x" * 256}, on=path)
    assert "at most 255 characters" in page
    assert f'value="{"x" * 256}"' in page
    assert not Mute.objects.filter(project=project.name).exists()


@pytest.mark.parametrize("key", ["0" * 32, "nonsense", "%00"])
def test_a_resolved_finding_is_404_with_a_link_to_the_list(signed_in, product, key):
    browser = signed_in("viewer")
    page = browser.open(f"/attention/{key}")
    assert (browser.status, "Resolved" in page, 'href="/attention"' in page) == (404, True, True)


def test_an_unchanged_list_is_not_sent(signed_in, project):
    browser = signed_in("viewer")
    open_findings(browser, project)

    def unchanged() -> bool:
        seen = seen_version(browser.open(f"/attention?project={project.name}"))
        browser.fragment(f"/attention?project={project.name}&seen={seen}", "attention")
        return bool(browser.status == 204)

    until("the list does not change", unchanged)


def test_the_project_page_shows_findings_first_and_names_them_beside_their_objects(signed_in, product, world):
    project = routed_project(product, world, image("example/app"))
    project.warehouse("broken", image("nginx", constraint="not a constraint"))
    browser = signed_in("viewer")
    page = unescape(browser.open_until(f"/projects/{project.name}", "is invalid, so Kargo"))
    first = page.partition('id="receivers"')[0]
    assert "is a name without a domain" in first
    assert f"kubectl edit warehouse broken -n {project.name}" in first
    card = page.partition('id="receiver-hook"')[2].partition("</article>")[0]
    assert Check.URL_UNREACHABLE.label in card
    row = page.partition('id="warehouse-broken"')[2].partition("</tr>")[0]
    assert 'href="/attention/' in row
    assert "/attention/" not in page.partition('id="warehouse-warehouse-0"')[2].partition("</tr>")[0]


def test_a_controller_that_stopped_is_one_finding_for_the_warehouses_a_reader_may_see(signed_in, world):
    own, other = world.bare_project(), world.bare_project()
    shard = f"shard-{own.name}"
    for project, name in ((own, "api"), (own, "web"), (other, "app")):
        project.warehouse(name, image("ghcr.io/acme/shop"), shard=shard)
    now = timezone.now()
    KargoController.objects.create(shard="", until=now + timedelta(hours=1))
    KargoController.objects.create(shard=shard, until=now - timedelta(hours=1))
    try:
        browser = signed_in(f"viewer:{own.name}")
        affected = f"Affects 2 Warehouses: {own.name}/api, {own.name}/web."
        page = browser.open_until("/attention", affected)
        assert page.count("has been down since") == 1
        assert other.name not in page
        assert affected in browser.open(f"/attention?project={own.name}")
        assert 'class="count">1<' in page
        assert affected in browser.open(f"/attention/{FINDING.findall(page)[0]}")
        assert browser.open(f"/projects/{own.name}").count("has been down since") == 1
        assert "Affects 3 Warehouses" in signed_in("viewer").open("/attention?check=no_controller")
    finally:
        KargoController.objects.filter(shard__in=["", shard]).delete()


def test_findings_of_one_cause_are_one_row_and_are_muted_together(signed_in, world):
    project = world.bare_project()
    project.publish("hook", "other")
    browser = signed_in(f"operator:{project.name}")
    remedy = "Use a public host name"
    until("both are found", lambda: "1 more with the same cause" in open_findings(browser, project))
    page = open_findings(browser, project)
    assert page.count(remedy) == 1
    section = page.partition(CHECK)[2].partition("</section>")[0]
    assert section.count('#receiver-hook"') == section.count('#receiver-other"') == 1
    path = f"/attention/{FINDING.findall(page)[0]}"
    assert "2 findings of this project have the same cause" in browser.open(path)
    page = browser.submit(path, {"note": "demo"}, on=path)
    assert "Muted 2 findings of the same cause until they change." in page
    assert remedy not in page.partition('id="attention"')[2].partition("<details")[0]


def test_the_link_to_a_warehouse_opens_its_page_of_the_list(admin_client, world):
    project = world.bare_project()
    for number in range(52):
        project.warehouse(f"app-{number:02}", image("nginx"))
    cache = runtime.current().cache
    until("the cache has all Warehouses", lambda: len(cache.warehouses(project.name)) == 52)
    page = admin_client.get(f"/projects/{project.name}?warehouse=app-51").content.decode()
    assert 'id="warehouse-app-51"' in page
    assert 'id="warehouse-app-00"' not in page


def test_findings_of_a_check_are_paginated_at_a_constant_number_of_queries(admin_client, world):
    def open_page(query: str) -> tuple[int, str]:
        with CaptureQueriesContext(connection) as queries:
            response = admin_client.get(f"/attention?{query}")
        assert response.status_code == 200
        return len(queries), response.content.decode()

    health, cache = runtime.current().health, runtime.current().cache
    few, many = world.bare_project(), world.bare_project()
    few.warehouse("app", image("nginx", constraint="nonsense >"))
    for number in range(120):
        many.warehouse(f"app-{number:03}", image("nginx", constraint="nonsense >"))
    until("the cache has all Warehouses", lambda: len(cache.warehouses(many.name)) == 120)
    health._report.refresh(0.0)
    query_count, page = open_page(f"project={few.name}")
    assert page.count("spec.subscriptions[0]") == 1
    for query, shown in (("", 3), ("&check=invalid_subscription", 50),
                         ("&check=invalid_subscription&page=3", 20)):  # fmt: skip
        count, page = open_page(f"project={many.name}&severity=urgent{query}")
        assert page.count("spec.subscriptions[0]") == shown
        assert count == query_count
    assert "Show all 120" in open_page(f"project={many.name}")[1]
    assert query_count <= 3


def test_the_count_in_the_navigation_costs_no_queries(admin_client, world):
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get("/audit").status_code == 200
        return [query["sql"] for query in captured]

    runtime.current().health._report.refresh(0.0)
    assert not [sql for sql in queries() if "receivers_mute" in sql or "receivers_delivery" in sql]


def test_without_findings_the_page_shows_the_time_of_the_check(database, tmp_path):
    with (
        DemoCluster(tmp_path / "cluster") as cluster,
        other_installation(cluster.kubeconfig) as (_, browser),
    ):
        page = browser.open_until("/attention", "Nothing needs action")
        assert re.search(r"were checked <time ", page)
        assert 'class="count"' not in page
