"""The list of deliveries."""

from __future__ import annotations

import re
import uuid
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.models import Origin, Outcome
from receivers.ops import runtime
from tests.deliveries.rows import delivery, store, unique_name

ROWS = re.compile(r'<tr id="delivery-([0-9a-f-]{36})"')


def rows(page: str) -> list[str]:
    return ROWS.findall(page)


def good(project, seconds=0.0, **fields):
    return delivery(project, seconds, **({"outcome": Outcome.FREIGHT_CREATED, "status": 200} | fields))


@pytest.fixture
def project(database) -> str:
    return unique_name()


class TestRows:
    def test_a_row_tells_what_came_from_whom_and_what_came_of_it(self, signed_in, project):
        fields = {"origin": Origin.REDELIVERY, "warehouses": 3, "duration_ms": 12.0, "reason": "because so"}
        [row] = store(good(project, outcome=Outcome.NOT_HANDLED, **fields))
        page = signed_in("viewer").open(f"/deliveries?project={project}")
        cells = page.partition(f'id="delivery-{row.pk}"')[2].partition("</tr>")[0]
        for part in (
            'title="example/app:1.0.0"',
            f"{project}/hook",
            "redelivery",
            ">200<",
            'data-tone="bad"',
            "Not handled",
            "because so",
            ">3<",
            "12 ms",
            f'href="/deliveries/{row.pk}"',
        ):
            assert part in cells

    def test_the_newest_comes_first_and_the_deliveries_of_one_push_are_one_row(self, signed_in, project):
        push = uuid.uuid4()
        alone, *same = store(good(project), *(good(project, n, push_id=push) for n in (1, 2, 3)))
        browser = signed_in("viewer")
        page = browser.open(f"/deliveries?project={project}")
        assert rows(page) == [str(same[-1].pk), str(alone.pk)]
        link = re.search(r'href="([^"]+)"\s+title="Docker Hub sent this push 3 times">×3<', page)
        assert link
        all_of_it = browser.open(unescape(link[1]))
        assert rows(all_of_it) == [str(one.pk) for one in reversed(same)]
        every = browser.open(f"/deliveries?project={project}&every=1")
        assert len(rows(every)) == 4

    def test_pages_follow_one_another_without_gap_or_overlap(self, signed_in, project):
        stored = store(*(good(project, n) for n in range(70)))
        browser = signed_in("viewer")
        first = browser.open(f"/deliveries?project={project}")
        older = re.search(r'href="(/deliveries\?[^"]+)" rel="next"', first)
        assert older
        second = browser.open(unescape(older[1]))
        assert rows(first) + rows(second) == [str(one.pk) for one in reversed(stored)]
        assert f'href="/deliveries?project={project}">' in second
        assert 'hx-trigger="every' in first
        assert 'hx-trigger="every' not in second

    @pytest.mark.parametrize("after", ["x", "0-0", "f" * 16 + "-" + "0" * 32])
    def test_a_cursor_that_somebody_made_up_leads_to_the_newest(self, signed_in, project, after):
        [row] = store(good(project))
        browser = signed_in("viewer")
        assert rows(browser.open(f"/deliveries?project={project}&after={after}")) == [str(row.pk)]
        assert "after" not in browser.url

    def test_what_strangers_write_stays_text_and_turns_nothing_around(self, signed_in, project):
        hostile = '"><script>alert(1)</script>'
        store(good(project, repository=hostile, tag="a\u202eb", reason="<b>x\u202e", receiver="'><i>"))
        page = signed_in("viewer").open(f"/deliveries?project={project}")
        assert len(rows(page)) == 1
        for bad in ("<script>alert", "<b>x", "'><i>", "\u202e"):
            assert bad not in page
        assert "a\\u202eb" in page


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "found"),
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
            ("text=SOMEbody", {0}),
            ("text=b:1.0", {1}),
            ("text=example/b:1.0.0", {1}),
            ("text=docker.io/example/b:1.0.0", {1}),
            ("text=nothing-like-it", set()),
        ],
    )
    def test_every_filter_stands_in_the_address(self, signed_in, project, query, found):
        stored = store(
            good(project, 0, pusher="somebody"),
            good(project, 1, receiver="other", repository="example/b"),
            good(project, 2, origin=Origin.TEST, outcome=Outcome.NO_MATCH, tag="2.0.0"),
            good(project, 3, outcome=Outcome.RETIRED_URL, status=404),
        )
        page = signed_in("viewer").open(f"/deliveries?project={project}&{query}")
        assert set(rows(page)) == {str(stored[n].pk) for n in found}

    def test_an_address_has_only_what_is_filtered_by(self, signed_in, project):
        browser = signed_in("viewer")
        browser.open(f"/deliveries?project={project}&tag=&text=++&since=&origin=")
        assert browser.url.endswith(f"/deliveries?project={project}")

    def test_a_search_for_an_image_becomes_exact(self, signed_in, database):
        browser = signed_in("viewer")
        browser.open("/deliveries?text=example/repo:1.2.3")
        assert parse_qs(urlsplit(browser.url).query) == {"repository": ["example/repo"], "tag": ["1.2.3"]}

    def test_what_is_filtered_by_is_told_and_can_be_left_out(self, signed_in, project):
        store(good(project))
        page = signed_in("viewer").open(f"/deliveries?project={project}&outcome=good")
        chips = page.partition('class="chips"')[2].partition("</ul>")[0]
        assert "Outcome: succeeded" in chips
        assert f'href="/deliveries?project={project}"' in chips
        assert 'href="/deliveries?outcome=good"' in chips

    def test_bad_values_get_a_sentence_each_and_lose_nothing(self, signed_in, project):
        page = signed_in("viewer").open(f"/deliveries?project={project}&since=yesterday&status=teapot&tag=1")
        assert "Since must be a time such as" in page
        assert "Code must be a response code such as" in page
        for name, value in (("project", project), ("since", "yesterday"), ("status", "teapot"), ("tag", "1")):
            assert re.search(rf'name="{name}"\s+value="{value}"', page)
        assert rows(page) == []
        assert 'hx-trigger="every' not in page

    @pytest.mark.parametrize("query", ["outcome=bad,nonsense", "push=x", "text=" + "x" * 300])
    def test_what_no_form_can_send_gets_a_sentence_as_well(self, signed_in, query):
        browser = signed_in("viewer")
        page = browser.open(f"/deliveries?{query}")
        assert (browser.status, 'class="error"' in page) == (200, True)


class TestNothing:
    def test_a_push_that_never_came_is_told_as_that_with_where_to_look(self, signed_in, database):
        page = signed_in("viewer").open("/deliveries?text=nobody/ever:1.2.3")
        assert re.search(r"No push of <code[^>]*title=\"nobody/ever:1.2.3\"", page)
        assert "View history" in page
        assert 'href="/deliveries?repository=nobody%2Fever"' in page

    @pytest.mark.parametrize("more", ["outcome=bad", "since=1h", "warehouse=main"])
    def test_what_more_filters_leave_out_is_not_called_absent(self, signed_in, more):
        page = signed_in("viewer").open(f"/deliveries?repository=example/came&{more}")
        assert "has arrived" not in page
        assert "No deliveries match" in page
        assert 'href="/deliveries?repository=example%2Fcame"' in page

    def test_who_does_not_see_all_is_told_so(self, signed_in):
        page = signed_in("viewer:shop").open("/deliveries?repository=example/came")
        assert "has arrived at a receiver in your projects" in page
        assert "Only users with access to all projects can see deliveries to cluster receivers" in page

    def test_there_is_a_way_to_widen(self, signed_in, project):
        page = signed_in("viewer").open(f"/deliveries?project={project}&since=2h")
        assert "No deliveries match" in page
        assert f'href="/deliveries?project={project}">Any time' in page


class TestWhoSeesWhat:
    def test_one_who_sees_one_project_sees_no_other(self, signed_in, project):
        other = unique_name()
        mine, theirs, clusters = store(good(project), good(other), good("", repository=f"{other}/x"))
        browser = signed_in(f"viewer:{project}")
        assert rows(browser.open("/deliveries")) == [str(mine.pk)]
        for query in (f"project={other}", "project=cluster", f"text={other}", f"repository={other}/x"):
            assert rows(browser.open(f"/deliveries?{query}")) == []
        everything = signed_in("viewer")
        assert rows(everything.open(f"/deliveries?project={other}")) == [str(theirs.pk)]
        assert rows(everything.open(f"/deliveries?repository={other}/x")) == [str(clusters.pk)]

    def test_only_operators_are_offered_to_redeliver(self, signed_in, project):
        assert "Redeliver these" in signed_in(f"operator:{project}").open("/deliveries")
        assert "Redeliver these" not in signed_in("viewer").open("/deliveries")

    def test_a_stranger_signs_in_first(self, browser):
        browser.open("/deliveries?outcome=bad")
        assert "/sign-in?next=/deliveries%3Foutcome%3Dbad" in browser.url


class TestLive:
    def test_a_part_that_has_not_changed_is_not_sent(self, signed_in, project):
        store(good(project))
        browser = signed_in("viewer")
        path = f"/deliveries?project={project}"
        seen = re.search(r'name="seen" value="(\w+)"', browser.part(path, "deliveries"))
        assert seen
        browser.part(f"{path}&seen={seen[1]}", "deliveries")
        assert browser.status == 204
        store(good(project, 5))
        assert len(rows(browser.part(f"{path}&seen={seen[1]}", "deliveries"))) == 2

    def test_how_far_it_looked_is_told(self, signed_in, project, monkeypatch, inside):
        monkeypatch.setattr("receivers.deliveries.querysets.LOOKED_AT", 5)
        store(*(good(project, n, tag=f"{n}") for n in range(20)))
        page = inside.get(f"/deliveries?project={project}&text=example/none").content.decode()
        assert "Searched back to" in page
        assert re.search(r'rel="next">\s*Search further back', page)


def test_more_rows_take_no_more_queries(inside, database):
    def queries(name: str, count: int) -> int:
        runtime.current().health.report()  # what the navigation counts is asked for now and then
        with CaptureQueriesContext(connection) as captured:
            assert len(rows(inside.get(f"/deliveries?project={name}").content.decode())) == count
        return len(captured)

    few, many = unique_name(), unique_name()
    store(good(few), *(good(many, n) for n in range(40)))
    assert queries(many, 40) == queries(few, 1) <= 8
