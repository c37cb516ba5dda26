"""The list of pushes: one row for each, its outcome, its receivers, filters, saved views and visibility."""

from __future__ import annotations

import re
import uuid
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.models import Outcome, ProjectDelivery, Refresh, SavedView
from receivers.ops import runtime
from receivers.web.saved_views import MOST_VIEWS
from tests.deliveries.rows import START, delivery, store, unique_name
from tests.delivery_rows import routed_project
from tests.web.deliveries import successful_delivery
from tests.web.html import seen_version, visible_text
from tests.web.queries import query_count
from tests.worlds import image

ROWS = re.compile(r'<tr id="push-([0-9a-f-]{36})"')


def push_ids(page: str) -> list[uuid.UUID]:
    """Return the ids of the listed pushes."""
    return [uuid.UUID(text) for text in ROWS.findall(page)]


def row_of(page: str, push_id: uuid.UUID | None) -> str:
    """Return the text of a row."""
    return visible_text("<tr" + page.partition(f'<tr id="push-{push_id}"')[2].partition("</tr>")[0])


class TestRows:
    def test_deliveries_to_several_receivers_are_one_row_with_the_decisive_outcome(
        self, signed_in, project_name
    ):
        push = uuid.uuid4()
        store(
            successful_delivery(project_name, 1, push_id=push),
            delivery(
                project_name,
                2,
                push_id=push,
                receiver="other",
                outcome=Outcome.NOT_HANDLED,
                reason="no controller",
                status=200,
            ),
        )
        page = signed_in("viewer").open(f"/pushes?project={project_name}")
        assert push_ids(page) == [push]
        text = row_of(page, push)
        for part in ("example/app :1.0.0", f"{project_name}, 2 receivers", "Not handled", "No controller."):
            assert part in text
        assert "200" not in text.replace(project_name, "")  # which is random
        assert "1 push in 2 deliveries" in visible_text(page)

    def test_the_row_has_the_freight_and_links_to_the_push(self, signed_in, project_name):
        [row] = store(successful_delivery(project_name, warehouses=1, with_freight=1))
        Refresh.objects.create(
            delivery=row,
            project=project_name,
            warehouse="main",
            state=RefreshState.ENDED,
            outcome=RefreshOutcome.FREIGHT_CREATED,
            freight="f" * 40,
            freight_alias="brave-bear",
            ended_at=row.received_at,
        )
        page = signed_in("viewer").open(f"/pushes?project={project_name}")
        assert "Freight brave-bear of Warehouse main was created" in row_of(page, row.push_id)
        assert f'href="/pushes/{row.push_id}"' in page

    def test_a_delivery_that_was_not_understood_is_only_in_the_list_of_deliveries(
        self, signed_in, project_name
    ):
        [row] = store(delivery(project_name, push_id=None, outcome=Outcome.INVALID_BODY, status=400))
        browser = signed_in("viewer")
        assert push_ids(browser.open(f"/pushes?project={project_name}")) == []
        assert str(row.pk) in browser.open(f"/deliveries?project={project_name}")

    def test_pages_have_no_gap_and_no_overlap(self, signed_in, project_name):
        stored = store(
            *(
                successful_delivery(project_name, n + receiver / 10, receiver=f"r-{receiver}", push_id=push)
                for n in range(70)
                for push in [uuid.uuid4()]
                for receiver in range(2)
            )
        )
        browser = signed_in("viewer")
        first = browser.open(f"/pushes?project={project_name}")
        older = re.search(r'href="(/pushes\?[^"]+)"\s+rel="next"', first)
        assert older
        second = browser.open(unescape(older[1]))
        newest_first = list(dict.fromkeys(row.push_id for row in reversed(stored)))
        assert push_ids(first) + push_ids(second) == newest_first
        assert "70 pushes in 140 deliveries" in visible_text(first)

    def test_values_from_outside_are_escaped(self, signed_in, project_name):
        hostile = '"><script>alert(1)</script>'
        store(
            successful_delivery(
                project_name, repository=hostile, tag="a\u202eb", reason="<b>x\u202e", receiver="'><i>"
            )
        )
        page = signed_in("viewer").open(f"/pushes?project={project_name}")
        assert len(push_ids(page)) == 1
        for bad in ("<script>alert", "<b>x", "'><i>", "\u202e"):
            assert bad not in page


class TestFilters:
    def test_the_outcome_is_that_of_the_push(self, signed_in, project_name):
        push = uuid.uuid4()
        store(
            successful_delivery(project_name, 1, push_id=push),
            delivery(project_name, 2, push_id=push, receiver="other", outcome=Outcome.FAILED),
        )
        browser = signed_in("viewer")
        assert push_ids(browser.open(f"/pushes?project={project_name}&outcome=good")) == []
        assert push_ids(browser.open(f"/pushes?project={project_name}&outcome=bad")) == [push]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("receiver=other", {1}),
            ("text=example/b:2.0.0", {1}),
            ("repository=example/b", {1}),
            ("time=90d", {0, 1}),
            ("time=2020-01-01+to+2020-02-01", set()),
            ("outcome=good", {0, 1}),
        ],
    )
    def test_filters_are_query_parameters(self, signed_in, project_name, query, expected):
        stored = store(
            successful_delivery(project_name, 0),
            successful_delivery(project_name, 1, receiver="other", repository="example/b", tag="2.0.0"),
        )
        page = signed_in("viewer").open(f"/pushes?project={project_name}&{query}")
        assert set(push_ids(page)) == {stored[n].push_id for n in expected}

    def test_selects_offer_what_exists_and_one_may_see(self, signed_in, product, world):
        own = routed_project(product, world, image("example/own"))
        other = routed_project(product, world, image("example/other"))
        browser = signed_in(f"viewer:{own.name}")
        page = browser.open("/pushes")
        assert f'<option value="{own.name}">' in page
        assert f'value="{own.name}/hook"' in page
        assert f'value="{own.name}/warehouse-0"' in page
        assert other.name not in page
        page = browser.open(f"/pushes?receiver={own.name}/hook")
        assert parse_qs(urlsplit(browser.url).query) == {"project": [own.name], "receiver": ["hook"]}
        assert '<option value="hook" selected>' in page

    def test_an_invalid_time_is_kept_with_an_error(self, signed_in, project_name):
        page = signed_in("viewer").open(f"/pushes?project={project_name}&time=soon&outcome=bad")
        assert "Time must be a time such as 2h" in page
        assert re.search(r'name="time" value="soon"', page)
        assert '<option value="bad" selected>' in page
        assert 'hx-trigger="every' not in page

    def test_a_picked_time_gets_the_zone_of_the_reader(self, admin_client, project_name):
        admin_client.cookies["zone"] = "Europe/Berlin"
        response = admin_client.get(f"/pushes?project={project_name}&since=2026-03-01T09:30")
        assert parse_qs(urlsplit(response.headers["Location"]).query)["since"] == ["2026-03-01T09:30+01:00"]
        page = admin_client.get(response.headers["Location"]).content.decode()
        assert re.search(r'type="datetime-local" name="since" value="2026-03-01T09:30"', page)

    def test_a_count_is_bounded(self, admin_client, project_name, monkeypatch):
        monkeypatch.setattr("receivers.deliveries.pushes.COUNTED", 60)
        store(*(successful_delivery(project_name, n) for n in range(70)))
        page = admin_client.get(f"/pushes?project={project_name}").content.decode()
        assert "More than 60 pushes in 60 deliveries" in visible_text(page)


class TestSavedViews:
    def test_a_view_is_saved_shown_and_removed(self, signed_in, project_name):
        browser, other = signed_in("viewer"), signed_in("viewer")
        query = f"outcome=bad&project={project_name}"
        page = browser.submit(
            "/views", {"page": "pushes", "name": "Mine, <failed>", "query": query}, on="/pushes"
        )
        assert browser.url.endswith(f"/pushes?{query}")
        assert "Mine, &lt;failed&gt;" in page
        assert "Mine" not in other.open("/pushes")
        assert "Mine" not in browser.open("/deliveries")
        [view] = SavedView.objects.filter(name="Mine, <failed>")
        other.submit(f"/views/{view.pk}/remove", on="/pushes")
        assert SavedView.objects.filter(pk=view.pk).exists()
        assert "Mine" not in browser.submit(f"/views/{view.pk}/remove", on="/pushes")

    def test_the_same_name_replaces_the_filter(self, signed_in, database):
        browser, name = signed_in("viewer"), unique_name()[:40]
        for query in ("outcome=bad", "outcome=good&after=x&nonsense=1"):
            browser.submit("/views", {"page": "pushes", "name": name, "query": query}, on="/pushes")
        assert [view.query for view in SavedView.objects.filter(name=name)] == ["outcome=good"]

    @pytest.mark.parametrize("name", ["", "x" * 41])
    def test_an_invalid_name_is_an_error_and_keeps_the_filter(self, signed_in, database, name):
        browser = signed_in("viewer")
        page = browser.submit(
            "/views", {"page": "pushes", "name": name, "query": "outcome=bad"}, on="/pushes"
        )
        assert "The view wasn't saved: name" in unescape(page)
        assert browser.url.endswith("/pushes?outcome=bad")

    def test_views_are_limited(self, signed_in, database):
        browser = signed_in("viewer")
        for number in range(MOST_VIEWS + 1):
            values = {"page": "deliveries", "name": f"view {number}", "query": "outcome=bad"}
            page = browser.submit("/views", values, on="/deliveries")
        assert f"You have {MOST_VIEWS} views" in page


class TestVisibility:
    def test_a_role_in_one_project_shows_only_its_deliveries_of_a_push(self, signed_in, project_name):
        other, push = unique_name(), uuid.uuid4()
        _, hidden, cluster = store(
            successful_delivery(project_name, 1, push_id=push),
            delivery(other, 2, push_id=push, outcome=Outcome.NOT_HANDLED, reason=f"{other} failed"),
            delivery("", 3, push_id=push, outcome=Outcome.NOT_HANDLED, receiver=f"{other}-hook"),
        )
        [alone] = store(successful_delivery(other))
        browser = signed_in(f"viewer:{project_name}")
        page = browser.open("/pushes")
        assert push_ids(page) == [push]
        assert other not in page
        assert "Freight created" in row_of(page, push)
        assert "1 push in 1 delivery" in visible_text(page)
        assert alone.push_id not in push_ids(browser.open(f"/pushes?project={other}"))
        ProjectDelivery.objects.bulk_create(project_deliveries(cluster, [project_name]))
        page = browser.open("/pushes")
        assert push_ids(page) == [push]
        assert "Freight created" in row_of(page, push)
        assert hidden.reason not in page

    def test_an_anonymous_user_is_redirected_to_the_sign_in_page(self, browser):
        browser.open("/pushes?outcome=bad")
        assert "/sign-in?next=/pushes%3Foutcome%3Dbad" in browser.url


class TestLive:
    def test_an_unchanged_list_is_not_sent(self, signed_in, project_name):
        store(successful_delivery(project_name))
        browser, path = signed_in("viewer"), f"/pushes?project={project_name}"
        seen = seen_version(browser.fragment(path, "pushes"))
        browser.fragment(f"{path}&seen={seen}", "pushes")
        assert browser.status == 204
        store(successful_delivery(project_name, 5))
        assert len(push_ids(browser.fragment(f"{path}&seen={seen}", "pushes"))) == 2


def test_the_number_of_queries_does_not_grow_with_rows(admin_client, database):
    def queries(name: str, count: int) -> int:
        path = f"/pushes?project={name}"
        runtime.current().health.report()  # otherwise the page may compute the counts of the navigation
        assert len(push_ids(admin_client.get(path).content.decode())) == count
        return query_count(admin_client, path)

    few, many = unique_name(), unique_name()
    rows = store(
        successful_delivery(few, warehouses=1),
        *(successful_delivery(many, n, warehouses=3) for n in range(40)),
    )
    Refresh.objects.bulk_create(
        Refresh(
            delivery=row, project=row.project, warehouse=f"w-{n}", outcome="freight_created", ended_at=START
        )
        for row in rows
        for n in range(row.warehouses)
    )
    assert queries(many, 40) == queries(few, 1) <= 12


@pytest.mark.parametrize(("page", "what"), [("/pushes", "pushes"), ("/deliveries", "deliveries")])
def test_an_empty_list_says_when_pushes_appear(signed_in, project_name, page, what):
    page = signed_in(f"viewer:{project_name}").open(page)
    assert f"No {what} yet. They appear here as soon as a provider sends" in visible_text(page)
