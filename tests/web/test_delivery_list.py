"""The delivery list: rows, filters, visibility and live updates."""

from __future__ import annotations

import re
import uuid
from html import unescape
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from receivers.models import Origin, Outcome
from receivers.ops import runtime
from tests.deliveries.rows import store, unique_name
from tests.web.deliveries import successful_delivery
from tests.web.html import seen_version, visible_text
from tests.web.queries import query_count

ROWS = re.compile(r'<tr id="delivery-([0-9a-f-]{36})"')


def row_ids(page: str) -> list[str]:
    """Return the ids of the listed deliveries."""
    return ROWS.findall(page)


class TestRows:
    def test_a_row_describes_the_delivery_and_its_outcome(self, signed_in, project_name):
        [row] = store(
            successful_delivery(
                project_name,
                outcome=Outcome.NOT_HANDLED,
                origin=Origin.REDELIVERY,
                warehouses=3,
                duration_ms=12.0,
                reason="no controller",
            )
        )
        page = signed_in("viewer").open(f"/deliveries?project={project_name}")
        cells = page.partition(f'id="delivery-{row.pk}"')[2].partition("</tr>")[0]
        for part in (
            "example/app<b>:1.0.0</b>",
            f"{project_name}/hook",
            "Redelivery",
            'data-tone="bad"',
            "Not handled",
            "No controller.",
            "3 Warehouses, 12 ms",
            f'href="/deliveries/{row.pk}"',
        ):
            assert part in cells

    def test_only_a_failing_response_code_is_shown(self, signed_in, project_name):
        store(
            successful_delivery(project_name), successful_delivery(project_name, 1, tag="2.0.0", status=404)
        )
        assert re.findall(r"HTTP (\d+)", signed_in("viewer").open(f"/deliveries?project={project_name}")) == [
            "404"
        ]

    def test_every_delivery_is_a_row_and_the_newest_is_first(self, signed_in, project_name):
        push = uuid.uuid4()
        stored = store(*(successful_delivery(project_name, n, push_id=push) for n in (1, 2, 3)))
        page = signed_in("viewer").open(f"/deliveries?project={project_name}&every=1")
        assert row_ids(page) == [str(row.pk) for row in reversed(stored)]
        assert f'href="/pushes?project={project_name}"' in page

    def test_days_are_those_of_the_reader(self, admin_client, project_name):
        [row] = store(successful_delivery(project_name))
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            admin_client.cookies["zone"] = zone
            page = admin_client.get(f"/deliveries?project={project_name}").content.decode()
            local = row.received_at.astimezone(ZoneInfo(zone))
            assert f"{local:%B} {local.day}</th>" in page
            assert f">{local:%H:%M:%S}</time>" in page
            assert f"{local:%A}, {local:%B} {local.day}, {local.year}, {local:%H:%M:%S} UTC" in page

    def test_pages_have_no_gap_and_no_overlap(self, signed_in, project_name):
        stored = store(*(successful_delivery(project_name, n) for n in range(70)))
        browser = signed_in("viewer")
        first = browser.open(f"/deliveries?project={project_name}")
        older = re.search(r'href="(/deliveries\?[^"]+)"\s+rel="next"', first)
        assert older
        second = browser.open(unescape(older[1]))
        assert row_ids(first) + row_ids(second) == [str(row.pk) for row in reversed(stored)]
        assert f'href="/deliveries?project={project_name}">' in second
        assert 'hx-trigger="every' in first
        assert 'hx-trigger="every' not in second

    @pytest.mark.parametrize("after", ["x", "0-0", "f" * 16 + "-" + "0" * 32])
    def test_an_invalid_cursor_redirects_to_the_newest_rows(self, signed_in, project_name, after):
        [row] = store(successful_delivery(project_name))
        browser = signed_in("viewer")
        assert row_ids(browser.open(f"/deliveries?project={project_name}&after={after}")) == [str(row.pk)]
        assert "after" not in browser.url

    def test_values_from_outside_are_escaped(self, signed_in, project_name):
        hostile = '"><script>alert(1)</script>'
        store(
            successful_delivery(
                project_name, repository=hostile, tag="a\u202eb", reason="<b>x\u202e", receiver="'><i>"
            )
        )
        page = signed_in("viewer").open(f"/deliveries?project={project_name}")
        assert len(row_ids(page)) == 1
        for bad in ("<script>alert", "<b>x", "'><i>", "\u202e"):
            assert bad not in page
        assert "a\\u202eb" in page


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("receiver=other", {1}),
            ("origin=test", {2}),
            ("outcome=bad", {3}),
            ("outcome=no_match", {2}),
            ("outcome=plain,bad", {2, 3}),
            ("status=4xx", {3}),
            ("repository=example/b", {1}),
            ("repository=example/b&tag=9", set()),
            ("tag=2.0.0", {2}),
            ("until=2020-01-01", set()),
            ("text=MARvin", {0}),
            ("text=b:1.0", {1}),
            ("text=example/b:1.0.0", {1}),
            ("text=docker.io/example/b:1.0.0", {1}),
            ("text=nothing-like-it", set()),
            ("time=90d+to+now", {0, 1, 2, 3}),
            ("time=2020-01-01", set()),
        ],
    )
    def test_filters_are_query_parameters(self, signed_in, project_name, query, expected):
        stored = store(
            successful_delivery(project_name, 0, pusher="marvin"),
            successful_delivery(project_name, 1, receiver="other", repository="example/b"),
            successful_delivery(project_name, 2, origin=Origin.TEST, outcome=Outcome.NO_MATCH, tag="2.0.0"),
            successful_delivery(project_name, 3, outcome=Outcome.RETIRED_URL, status=404),
        )
        page = signed_in("viewer").open(f"/deliveries?project={project_name}&{query}")
        assert set(row_ids(page)) == {str(stored[n].pk) for n in expected}

    def test_empty_filters_are_removed_from_the_url(self, signed_in, project_name):
        browser = signed_in("viewer")
        browser.open(f"/deliveries?project={project_name}&tag=&text=++&since=&origin=")
        assert browser.url.endswith(f"/deliveries?project={project_name}")

    def test_a_search_for_an_image_becomes_an_exact_filter(self, signed_in, database):
        browser = signed_in("viewer")
        browser.open("/deliveries?text=example/repo:1.2.3")
        assert parse_qs(urlsplit(browser.url).query) == {"repository": ["example/repo"], "tag": ["1.2.3"]}

    def test_active_filters_are_shown_and_can_be_removed(self, signed_in, project_name):
        store(successful_delivery(project_name))
        page = signed_in("viewer").open(f"/deliveries?project={project_name}&outcome=good")
        chips = page.partition('class="chips"')[2].partition("</ul>")[0]
        assert "Outcome: succeeded" in chips
        assert f'href="/deliveries?project={project_name}"' in chips
        assert 'href="/deliveries?outcome=good"' in chips

    def test_invalid_values_are_kept_and_each_has_an_error(self, signed_in, project_name):
        page = signed_in("viewer").open(
            f"/deliveries?project={project_name}&since=yesterday&status=teapot&tag=1"
        )
        assert "Since must be a time such as" in page
        assert "Code must be a response code such as" in page
        assert f'<option value="{project_name}" selected>' in page
        for name, value in (
            ("since", "yesterday"),
            ("status", "teapot"),
            ("tag", "1"),
        ):
            assert re.search(rf'name="{name}"\s+value="{value}"', page)
        assert row_ids(page) == []
        assert 'hx-trigger="every' not in page

    @pytest.mark.parametrize("query", ["outcome=bad,nonsense", "push=x", "text=" + "x" * 300])
    def test_values_that_the_form_cannot_send_have_an_error_too(self, signed_in, query):
        browser = signed_in("viewer")
        page = browser.open(f"/deliveries?{query}")
        assert (browser.status, page.count('class="error"')) == (200, 1)


class TestEmptyList:
    def test_a_push_that_never_arrived_is_reported_with_the_next_step(self, signed_in, database):
        page = signed_in("viewer").open("/deliveries?text=nobody/ever:1.2.3")
        assert re.search(r"No push of <code[^>]*title=\"nobody/ever:1.2.3\"", page)
        assert "a list of webhooks, and what it sent to each" in visible_text(page)
        assert 'href="/deliveries?repository=nobody%2Fever"' in page

    @pytest.mark.parametrize("extra_filter", ["outcome=bad", "since=1h", "warehouse=main"])
    def test_a_push_hidden_by_other_filters_is_not_reported_as_missing(self, signed_in, extra_filter):
        page = signed_in("viewer").open(f"/deliveries?repository=example/came&{extra_filter}")
        assert "has arrived" not in page
        assert "No deliveries match" in page
        assert 'href="/deliveries?repository=example%2Fcame"' in page

    def test_users_with_limited_access_see_a_notice(self, signed_in):
        page = signed_in("viewer:shop").open("/deliveries?repository=example/came")
        assert "has arrived at a receiver in your projects" in page
        assert "Only users with access to all projects can see deliveries to cluster receivers" in page

    def test_an_empty_list_links_to_a_wider_filter(self, signed_in, project_name):
        page = signed_in("viewer").open(f"/deliveries?project={project_name}&since=2h")
        assert "No deliveries match" in page
        assert f'href="/deliveries?project={project_name}">Any time' in page


class TestVisibility:
    def test_a_role_in_one_project_shows_no_deliveries_of_others(self, signed_in, project_name):
        other = unique_name()
        own, foreign, cluster = store(
            successful_delivery(project_name),
            successful_delivery(other),
            successful_delivery("", repository=f"{other}/x"),
        )
        browser = signed_in(f"viewer:{project_name}")
        assert row_ids(browser.open("/deliveries")) == [str(own.pk)]
        for query in (f"project={other}", "project=cluster", f"text={other}", f"repository={other}/x"):
            assert row_ids(browser.open(f"/deliveries?{query}")) == []
        viewer = signed_in("viewer")
        assert row_ids(viewer.open(f"/deliveries?project={other}")) == [str(foreign.pk)]
        assert row_ids(viewer.open(f"/deliveries?repository={other}/x")) == [str(cluster.pk)]

    def test_only_operators_see_the_redeliver_link(self, signed_in, project_name):
        assert "Redeliver these" in signed_in(f"operator:{project_name}").open("/deliveries")
        assert "Redeliver these" not in signed_in("viewer").open("/deliveries")

    def test_an_anonymous_user_is_redirected_to_the_sign_in_page(self, browser):
        browser.open("/deliveries?outcome=bad")
        assert "/sign-in?next=/deliveries%3Foutcome%3Dbad" in browser.url


class TestLive:
    def test_an_unchanged_fragment_is_not_sent(self, signed_in, project_name):
        store(successful_delivery(project_name))
        browser = signed_in("viewer")
        path = f"/deliveries?project={project_name}"
        seen = seen_version(browser.fragment(path, "deliveries"))
        browser.fragment(f"{path}&seen={seen}", "deliveries")
        assert browser.status == 204
        store(successful_delivery(project_name, 5))
        assert len(row_ids(browser.fragment(f"{path}&seen={seen}", "deliveries"))) == 2

    def test_a_bounded_search_shows_how_far_it_searched(self, admin_client, project_name, monkeypatch):
        monkeypatch.setattr("receivers.deliveries.querysets.LOOKED_AT", 5)
        store(*(successful_delivery(project_name, n, tag=f"{n}") for n in range(20)))
        page = admin_client.get(f"/deliveries?project={project_name}&text=example/none").content.decode()
        assert "Searched back to" in page
        assert re.search(r'rel="next">\s*Search further back', page)


def test_the_number_of_queries_does_not_grow_with_rows(admin_client, database):
    def queries(name: str, count: int) -> int:
        path = f"/deliveries?project={name}"
        runtime.current().health.report()  # otherwise the page may compute the counts of the navigation
        assert len(row_ids(admin_client.get(path).content.decode())) == count
        return query_count(admin_client, path)

    few, many = unique_name(), unique_name()
    store(successful_delivery(few), *(successful_delivery(many, n) for n in range(40)))
    assert queries(many, 40) == queries(few, 1) <= 10
