"""Needs action: who sees what, mutes, groups, and what it costs."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.kargo.resources import PROJECT_CONFIGS
from receivers.models import Audit, Mute
from receivers.ops import runtime
from tests.clusters import DemoCluster, until
from tests.delivery_rows import routed_project
from tests.web.conftest import apart
from tests.web.visiting import SEEN_FIELD
from tests.worlds import image

FINDING = re.compile(r'href="/attention/([0-9a-f]{32})"')


def opened(browser, place, more: str = "") -> str:
    """Return the findings of a project once there are any."""
    path = f"/attention?project={place.name}{more}"
    return unescape(until("it is looked at", lambda: FINDING.search(page := browser.open(path)) and page))


def test_a_finding_is_told_with_reason_remedy_and_what_it_is_about(signed_in, product, world):
    place = routed_project(product, world)
    page = opened(signed_in("viewer"), place)
    assert "URLs Docker Hub can't reach" in page
    assert 'the host "hooks" is a name without a domain' in page
    assert "Use a public host name" in page
    assert f'href="/projects/{place.name}#receiver-hook"' in page


def test_a_remedy_has_its_line_to_copy(signed_in, world):
    place = world.bare_project()
    place.publish("hook")
    unpublished = [{"name": "new", "dockerhub": {"secretRef": {"name": "x"}}}]
    world.cluster.patch(PROJECT_CONFIGS, place.name, place.name, {"spec": {"webhookReceivers": unpublished}})
    browser = signed_in("viewer")
    line = f"<code>kubectl describe projectconfig {place.name} -n {place.name}</code>"
    until("it is told", lambda: line in opened(browser, place))


@pytest.mark.parametrize(
    ("query", "there"),
    [("&severity=urgent", True), ("&severity=warning", False), ("&check=url_unreachable", True),
     ("&check=nonsense", False)],
)  # fmt: skip
def test_filters_are_in_the_address(signed_in, product, world, query, there):
    place = routed_project(product, world)
    browser = signed_in("viewer")
    opened(browser, place)
    page = unescape(browser.open(f"/attention?project={place.name}{query}"))
    assert ("URLs Docker Hub can't reach" in page.partition('id="attention"')[2]) == there
    assert ("No finding matches this filter" in page) == (not there)


def test_who_sees_one_project_sees_no_others_and_nothing_of_the_cluster(signed_in, product, world):
    mine, other = routed_project(product, world), routed_project(product, world)
    opened(signed_in("viewer"), other)
    page = signed_in(f"viewer:{mine.name}").open("/attention")
    assert mine.name in page
    assert other.name not in page
    assert ">Cluster<" not in page


def key_of(browser, place) -> str:
    found = FINDING.search(opened(browser, place, "&severity=urgent"))
    assert found
    return found[1]


def test_an_operator_mutes_and_unmutes_and_both_are_on_record(signed_in, product, world):
    place = routed_project(product, world)
    browser = signed_in(f"operator:{place.name}")
    key = key_of(browser, place)
    path = f"/attention/{key}"
    counted = until("it is counted", lambda: re.search(r'class="count">(\d+)<', browser.open("/attention")))
    page = browser.submit(path, {"note": "only <b>here</b>"}, on=path)
    assert "Muted until it changes" in page
    assert 'Muted <span class="chip">' in page
    assert "only &lt;b&gt;here&lt;/b&gt;" in page
    assert f'class="count">{counted[1]}<' not in page
    assert 'id="attention"' in page
    assert key not in page.partition('id="attention"')[2].partition("<details")[0]
    page = browser.submit(path, {"unmute": "yes"}, on=path)
    assert "Unmuted" in page
    assert f'class="count">{counted[1]}<' in page
    assert not Mute.objects.filter(key=key).exists()
    done = Audit.objects.filter(project=place.name).order_by("at").values_list("action", "detail")
    assert list(done) == [
        ("mute", "url_unreachable of hook"), ("unmute", "url_unreachable of hook")
    ]  # fmt: skip


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
def test_who_may_not_mute_does_not(signed_in, product, world, group, status):
    place = routed_project(product, world)
    key = key_of(signed_in("viewer"), place)
    browser = signed_in(group.format(project=place.name))
    browser.submit(f"/attention/{key}", {"note": ""}, on="/")
    assert browser.status == status
    assert Mute.objects.filter(key=key).exists() == (status == 200)


def test_without_the_forms_token_nothing_is_muted(signed_in, product, world):
    place = routed_project(product, world)
    browser = signed_in("operator")
    key = key_of(browser, place)
    browser.open(f"/attention/{key}", {"note": "forged"})
    assert browser.status == 403
    assert not Mute.objects.filter(key=key).exists()


@pytest.mark.parametrize("key", ["0" * 32, "nonsense", "%00"])
def test_a_finding_that_is_gone_is_told_so_with_a_way_on(signed_in, product, key):
    browser = signed_in("viewer")
    page = browser.open(f"/attention/{key}")
    assert (browser.status, "Resolved" in page, 'href="/attention"' in page) == (404, True, True)


def test_the_list_is_left_alone_while_it_is_the_same(signed_in, product, world):
    place = routed_project(product, world)
    browser = signed_in("viewer")
    opened(browser, place)

    def same() -> bool:
        field = SEEN_FIELD.search(browser.open(f"/attention?project={place.name}"))
        assert field
        browser.part(f"/attention?project={place.name}&seen={field[1]}", "attention")
        return bool(browser.status == 204)

    until("it does not change", same)


def test_the_project_page_tells_what_is_wrong_with_receivers_and_warehouses_at_their_place(
    signed_in, product, world
):
    place = routed_project(product, world, image("example/told"))
    place.warehouse("broken", image("nginx", constraint="not a constraint"))
    browser = signed_in("viewer")
    page = until(
        "it is told",
        lambda: "is invalid, so Kargo" in (page := browser.open(f"/projects/{place.name}")) and page,
    )
    card = page.partition('id="receiver-hook"')[2].partition("</article>")[0]
    assert "is a name without a domain" in unescape(card)
    row = page.partition('id="warehouse-broken"')[2].partition("</tr>")[0]
    assert f"kubectl edit warehouse broken -n {place.name}" in row
    assert "is invalid, so Kargo" not in page.partition('id="warehouse-warehouse-0"')[2].partition("</tr>")[0]


def test_the_link_to_a_warehouse_leads_to_the_page_of_the_list_that_it_is_on(inside, world):
    place = world.bare_project()
    for number in range(52):
        place.warehouse(f"app-{number:02}", image("nginx"))
    cache = runtime.current().cache
    until("all are known", lambda: len(cache.warehouses(place.name)) == 52)
    page = inside.get(f"/projects/{place.name}?warehouse=app-51").content.decode()
    assert 'id="warehouse-app-51"' in page
    assert 'id="warehouse-app-00"' not in page


def test_of_many_findings_of_a_check_a_few_are_shown_and_the_rest_by_pages_for_no_more_queries(inside, world):
    def asked(query: str) -> tuple[int, str]:
        with CaptureQueriesContext(connection) as captured:
            answer = inside.get(f"/attention?{query}")
        assert answer.status_code == 200
        return len(captured), answer.content.decode()

    health, cache = runtime.current().health, runtime.current().cache
    few, many = world.bare_project(), world.bare_project()
    few.warehouse("app", image("nginx", constraint="nonsense >"))
    for number in range(120):
        many.warehouse(f"app-{number:03}", image("nginx", constraint="nonsense >"))
    until("all are known", lambda: len(cache.warehouses(many.name)) == 120)
    health._report.refresh(0.0)
    costs, page = asked(f"project={few.name}")
    assert page.count("spec.subscriptions[0]") == 1
    for query, shown in (("", 3), ("&check=invalid_subscription", 50),
                         ("&check=invalid_subscription&page=3", 20)):  # fmt: skip
        cost, page = asked(f"project={many.name}&severity=urgent{query}")
        assert page.count("spec.subscriptions[0]") == shown
        assert cost == costs
    assert "Show all 120" in asked(f"project={many.name}")[1]
    assert costs <= 3


def test_what_is_counted_on_every_page_costs_no_query(inside, world):
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert inside.get("/audit").status_code == 200
        return [one["sql"] for one in captured]

    runtime.current().health._report.refresh(0.0)
    assert not [sql for sql in queries() if "receivers_mute" in sql or "receivers_delivery" in sql]


def test_when_nothing_is_wrong_it_says_so_and_when_it_looked(tmp_path):
    with (
        DemoCluster(tmp_path / "cluster") as cluster,
        apart(cluster.kubeconfig, tmp_path) as (_, browser),
    ):
        until("it was looked at", lambda: "Nothing needs action" in browser.open("/attention"))
        page = browser.open("/attention")
        assert re.search(r"were checked <time ", page)
        assert 'class="count"' not in page
