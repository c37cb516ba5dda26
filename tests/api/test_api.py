"""The JSON API."""

from __future__ import annotations

import json
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.deliveries import serializers
from receivers.deliveries.querysets import delivery_log
from receivers.models import Audit, Origin, Outcome
from tests.clusters import until
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.worlds import image, push_body


def get(browser, path, expected=200):
    text = browser.open(path)
    assert browser.status == expected, text
    assert browser.headers["Content-Type"] == "application/json"
    assert browser.headers["Cache-Control"] == "no-store"
    return json.loads(text)


def failed(project, seconds=0.0, **fields):
    return delivery(project, seconds, **({"outcome": Outcome.FAILED, "body": b"{}"} | fields))


def token(browser):
    """The CSRF token that the browser's cookie holds, as a program reads it."""
    browser.open("/deliveries/redeliver")
    cookies = next(one for one in browser._opener.handlers if hasattr(one, "cookiejar")).cookiejar
    return next(one.value for one in cookies if one.name == "csrftoken")


def post(browser, path, **headers):
    return json.loads(browser.open(path, {"nothing": "1"}, headers))


class TestList:
    def test_it_has_the_filters_and_shapes_of_the_other_lists(self, signed_in, database):
        project = unique_name()
        rows = store(
            *(failed(project, n) for n in range(3)), failed(project, 9, outcome=Outcome.FREIGHT_CREATED)
        )
        browser = signed_in("viewer")
        first = get(browser, f"/api/deliveries?project={project}&outcome=bad&size=2")
        assert [one["id"] for one in first["deliveries"]] == [str(rows[2].pk), str(rows[1].pk)]
        assert set(first) == {"deliveries", "next", "looked_to"}
        stored = delivery_log().narrow().get(pk=rows[2].pk)
        stored.repeats = 1
        assert first["deliveries"][0] == serializers.delivery_summary(stored)
        path = f"/api/deliveries?project={project}&outcome=bad&size=2&after={first['next']}"
        second = get(browser, path)
        assert [one["id"] for one in second["deliveries"]] == [str(rows[0].pk)]
        assert second["next"] == ""

    def test_each_push_once_unless_every_one_is_asked_for(self, signed_in, database):
        project, push = unique_name(), uuid.uuid4()
        store(*(failed(project, n, push_id=push) for n in range(3)))
        browser = signed_in("viewer")
        [one] = get(browser, f"/api/deliveries?project={project}")["deliveries"]
        assert one["repeats"] == 3
        for query in ("every=1", f"push={push}"):
            assert len(get(browser, f"/api/deliveries?project={project}&{query}")["deliveries"]) == 3

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ("since=yesterday", "since must be a time such as"),
            ("outcome=x", "outcome must be one or more of these"),
            ("after=x", "this isn't a cursor"),
            ("size=0", "size must be a number from 1 to 500"),
            ("size=501", "size must be a number from 1 to 500"),
            ("size=" + "9" * 5000, "size must be a number"),
        ],
    )
    def test_what_it_does_not_take_is_400_and_a_sentence(self, signed_in, query, sentence):
        assert get(signed_in("viewer"), f"/api/deliveries?{query}", 400)["error"].startswith(sentence)

    def test_nobody_sees_what_the_pages_do_not_show_him(self, signed_in, database):
        mine, theirs, clusters = store(failed(unique_name()), failed(unique_name()), failed(""))
        browser = signed_in(f"viewer:{mine.project}")
        [one] = get(browser, "/api/deliveries")["deliveries"]
        assert one["id"] == str(mine.pk)
        for pk in (theirs.pk, clusters.pk, uuid.uuid4()):
            assert get(browser, f"/api/deliveries/{pk}", 404) == {"error": "not found"}

    def test_more_rows_take_no_more_queries(self, inside, database):
        def queries(name):
            with CaptureQueriesContext(connection) as captured:
                assert inside.get(f"/api/deliveries?project={name}").status_code == 200
            return len(captured)

        few, many = unique_name(), unique_name()
        store(failed(few), *(failed(many, n) for n in range(40)))
        assert queries(many) == queries(few) <= 8


class TestOne:
    def test_everything_is_told_but_other_projects(self, signed_in, product, world):
        there = routed_project(product, world, image("example/api-elsewhere"))
        here = routed_project(product, world)
        answer = product.post(here.path(), push_body("example/api-elsewhere"))
        row = wait_for_result(answer.headers["X-Kargoweb-Delivery"])
        told = get(signed_in("viewer"), f"/api/deliveries/{row.pk}")
        assert (told["id"], told["answer"]) == (str(row.pk), row.answer)
        assert json.loads(told["request"]["body"]) == json.loads(push_body("example/api-elsewhere"))
        assert [one["project"] for one in told["verdicts"]] == [there.name]
        limited = get(signed_in(f"viewer:{here.name}"), f"/api/deliveries/{row.pk}")
        assert there.name not in json.dumps(limited)


class TestRedeliver:
    def test_it_answers_with_the_new_delivery_and_is_on_record(self, signed_in, product, world):
        place = routed_project(product, world, image("example/api-again"))
        answer = product.post(place.path(), push_body("example/api-again"))
        row = wait_for_result(answer.headers["X-Kargoweb-Delivery"])
        browser = signed_in(f"operator:{place.name}")
        new = post(browser, f"/api/deliveries/{row.pk}/redeliver", **{"X-CSRFToken": token(browser)})
        assert browser.status == 201
        assert (new["original"], new["origin"], new["outcome"]) == (str(row.pk), "redelivery", "pending")
        assert wait_for_result(new["id"]).outcome == Outcome.REFRESHED
        assert Audit.objects.get(delivery=row.pk).user == new["actor"]
        assert deliveries_of(place).filter(origin=Origin.REDELIVERY).count() == 1

    def test_without_the_token_nothing_is_sent(self, signed_in, database):
        [row] = store(failed(unique_name()))
        browser = signed_in("operator")
        assert "CSRF" in post(browser, f"/api/deliveries/{row.pk}/redeliver")["error"]
        assert browser.status == 403
        assert not row.redeliveries.exists()

    def test_a_viewer_may_not(self, signed_in, database):
        [row] = store(failed(unique_name()))
        browser = signed_in(f"viewer:{row.project}", f"operator:{unique_name()}")
        answer = post(browser, f"/api/deliveries/{row.pk}/redeliver", **{"X-CSRFToken": token(browser)})
        assert (browser.status, answer) == (403, {"error": "permission denied"})
        assert not row.redeliveries.exists()

    def test_what_cannot_be_sent_again_is_409_and_a_sentence(self, signed_in, database):
        [row] = store(failed(unique_name(), outcome=Outcome.TOO_LARGE))
        browser = signed_in("operator")
        answer = post(browser, f"/api/deliveries/{row.pk}/redeliver", **{"X-CSRFToken": token(browser)})
        assert browser.status == 409
        assert answer["error"].endswith("its body was too large to be stored")


class TestExplain:
    def test_it_says_what_a_push_would_do_and_why(self, signed_in, product, world):
        place = routed_project(product, world, image("example/api-explain", constraint="^1.0.0"))
        browser = signed_in(f"viewer:{place.name}")
        path = f"/api/explain?project={place.name}&repository=example/api-explain"
        told = get(browser, f"{path}&tag=1.2.3")
        assert told["to_refresh"] == [{"project": place.name, "warehouse": "warehouse-0"}]
        told = get(browser, f"{path}&tag=2.0.0")
        assert told["to_refresh"] == []
        assert "does not satisfy ^1.0.0" in told["why_no_match"]
        assert told["verdicts"][0]["rule"] == "semver.not_satisfied"

    def test_hints_at_projects_that_may_not_be_seen_are_kept_back(self, signed_in, product, world):
        there = routed_project(product, world, image("example/api-hint"))
        here = routed_project(product, world)
        path = f"/api/explain?project={here.name}&repository=example/api-hint&tag=1.0.0"
        told = get(signed_in(f"viewer:{here.name}"), path)
        assert there.name not in json.dumps(told)
        everywhere = signed_in("viewer")
        until("the hint is there", lambda: there.name in get(everywhere, path)["why_no_match"])

    @pytest.mark.parametrize(
        ("query", "code", "sentence"),
        [
            ("repository=a/b", 400, "project is missing"),
            ("project=x", 400, "repository is missing"),
            ("project=x&repository=" + "y" * 256, 400, "repository can have at most 255 characters"),
            ("project=elsewhere&repository=a/b", 404, "not found"),
            ("project=cluster&repository=a/b", 404, "not found"),
        ],
    )
    def test_what_it_does_not_take_is_a_sentence(self, signed_in, query, code, sentence):
        assert get(signed_in("viewer:x"), f"/api/explain?{query}", code)["error"] == sentence


@pytest.mark.parametrize("path", ["/api/deliveries", "/api/explain", "/api/nothing"])
def test_a_stranger_is_told_to_sign_in_and_one_without_a_role_that_he_has_none(browser, signed_in, path):
    assert get(browser, path, 403) == {"error": "sign in first"}
    if path != "/api/nothing":
        assert get(signed_in(), path, 403) == {"error": "you need a role first"}


def test_an_address_that_is_not_there_is_404_in_json(signed_in):
    assert get(signed_in("viewer"), "/api/nothing", 404) == {"error": "not found"}
