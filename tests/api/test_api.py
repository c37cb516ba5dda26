"""The REST API."""

from __future__ import annotations

import json
import uuid

import pytest

from receivers.deliveries import serializers
from receivers.deliveries.querysets import delivery_log
from receivers.models import Audit, Origin, Outcome
from tests.clusters import until
from tests.deliveries.rows import store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.web.deliveries import failed_delivery, send_push
from tests.web.queries import query_count
from tests.worlds import image, push_body


def get(browser, path, status=200):
    """Return the JSON of a response, which must have this status and must not be cached."""
    text = browser.open(path)
    assert browser.status == status, text
    assert browser.headers["Content-Type"] == "application/json"
    assert browser.headers["Cache-Control"] == "no-store"
    return json.loads(text)


def redeliver(browser, delivery_id, *, csrf_token=True):
    """Redeliver through the API; return the JSON of the response."""
    browser.open("/deliveries/redeliver")  # sets the cookie with the token
    headers = {"X-CSRFToken": browser.cookie("csrftoken")} if csrf_token else {}
    return json.loads(browser.open(f"/api/deliveries/{delivery_id}/redeliver", {"ignored": "1"}, headers))


class TestList:
    def test_deliveries_are_filtered_serialized_and_paginated(self, signed_in, database):
        project = unique_name()
        rows = store(
            *(failed_delivery(project, n) for n in range(3)),
            failed_delivery(project, 9, outcome=Outcome.FREIGHT_CREATED),
        )
        browser = signed_in("viewer")
        first = get(browser, f"/api/deliveries?project={project}&outcome=bad&size=2")
        assert [row["id"] for row in first["deliveries"]] == [str(rows[2].pk), str(rows[1].pk)]
        assert set(first) == {"deliveries", "next", "looked_to"}
        stored = delivery_log().narrow().get(pk=rows[2].pk)
        stored.repeats = 1
        assert first["deliveries"][0] == serializers.delivery_summary(stored)
        path = f"/api/deliveries?project={project}&outcome=bad&size=2&after={first['next']}"
        second = get(browser, path)
        assert [row["id"] for row in second["deliveries"]] == [str(rows[0].pk)]
        assert second["next"] == ""

    def test_each_push_is_listed_once_unless_all_deliveries_are_requested(self, signed_in, database):
        project, push = unique_name(), uuid.uuid4()
        store(*(failed_delivery(project, n, push_id=push) for n in range(3)))
        browser = signed_in("viewer")
        [listed] = get(browser, f"/api/deliveries?project={project}")["deliveries"]
        assert listed["repeats"] == 3
        for query in ("every=1", f"push={push}"):
            assert len(get(browser, f"/api/deliveries?project={project}&{query}")["deliveries"]) == 3

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("since=yesterday", "since must be a time such as"),
            ("outcome=x", "outcome must be one or more of these"),
            ("after=x", "this isn't a cursor"),
            ("size=0", "size must be a number from 1 to 500"),
            ("size=501", "size must be a number from 1 to 500"),
            ("size=" + "9" * 5000, "size must be a number"),
        ],
    )
    def test_an_invalid_query_is_400_with_a_message(self, signed_in, query, message):
        assert get(signed_in("viewer"), f"/api/deliveries?{query}", 400)["error"].startswith(message)

    def test_hidden_deliveries_are_neither_listed_nor_shown(self, signed_in, database):
        own, other, cluster = store(
            failed_delivery(unique_name()), failed_delivery(unique_name()), failed_delivery("")
        )
        browser = signed_in(f"viewer:{own.project}")
        [listed] = get(browser, "/api/deliveries")["deliveries"]
        assert listed["id"] == str(own.pk)
        for pk in (other.pk, cluster.pk, uuid.uuid4()):
            assert get(browser, f"/api/deliveries/{pk}", 404) == {"error": "not found"}

    def test_the_number_of_queries_does_not_grow_with_rows(self, admin_client, database):
        few, many = unique_name(), unique_name()
        store(failed_delivery(few), *(failed_delivery(many, n) for n in range(40)))
        queries = query_count(admin_client, f"/api/deliveries?project={many}")
        assert queries == query_count(admin_client, f"/api/deliveries?project={few}") <= 8


class TestDetail:
    def test_a_delivery_has_all_fields_except_verdicts_of_hidden_projects(self, signed_in, product, world):
        hidden = routed_project(product, world, image("example/api-elsewhere"))
        project = routed_project(product, world)
        row = send_push(product, project, push_body("example/api-elsewhere"))
        data = get(signed_in("viewer"), f"/api/deliveries/{row.pk}")
        assert (data["id"], data["answer"]) == (str(row.pk), row.answer)
        assert json.loads(data["request"]["body"]) == json.loads(push_body("example/api-elsewhere"))
        assert [verdict["project"] for verdict in data["verdicts"]] == [hidden.name]
        limited_data = get(signed_in(f"viewer:{project.name}"), f"/api/deliveries/{row.pk}")
        assert hidden.name not in json.dumps(limited_data)


class TestRedeliver:
    def test_the_response_is_the_new_delivery_and_the_action_is_audited(self, signed_in, product, world):
        project = routed_project(product, world, image("example/api-again"))
        row = send_push(product, project, push_body("example/api-again"))
        browser = signed_in(f"operator:{project.name}")
        new = redeliver(browser, row.pk)
        assert browser.status == 201
        assert (new["original"], new["origin"], new["outcome"]) == (str(row.pk), "redelivery", "pending")
        assert wait_for_result(new["id"]).outcome == Outcome.REFRESHED
        assert Audit.objects.get(delivery=row.pk).user == new["actor"]
        assert deliveries_of(project).filter(origin=Origin.REDELIVERY).count() == 1

    def test_a_request_without_a_csrf_token_redelivers_nothing(self, signed_in, database):
        [row] = store(failed_delivery(unique_name()))
        browser = signed_in("operator")
        assert "CSRF" in redeliver(browser, row.pk, csrf_token=False)["error"]
        assert browser.status == 403
        assert not row.redeliveries.exists()

    def test_a_viewer_cannot_redeliver(self, signed_in, database):
        [row] = store(failed_delivery(unique_name()))
        browser = signed_in(f"viewer:{row.project}", f"operator:{unique_name()}")
        response = redeliver(browser, row.pk)
        assert (browser.status, response) == (403, {"error": "permission denied"})
        assert not row.redeliveries.exists()

    def test_a_delivery_that_cannot_be_redelivered_is_409_with_a_message(self, signed_in, database):
        [row] = store(failed_delivery(unique_name(), outcome=Outcome.TOO_LARGE))
        browser = signed_in("operator")
        response = redeliver(browser, row.pk)
        assert browser.status == 409
        assert response["error"].endswith("its body was too large to be stored")


class TestExplain:
    def test_a_push_is_explained_with_its_warehouses_and_reasons(self, signed_in, product, world):
        project = routed_project(product, world, image("example/api-explain", constraint="^1.0.0"))
        browser = signed_in(f"viewer:{project.name}")
        path = f"/api/explain?project={project.name}&repository=example/api-explain"
        data = get(browser, f"{path}&tag=1.2.3")
        assert data["to_refresh"] == [{"project": project.name, "warehouse": "warehouse-0"}]
        data = get(browser, f"{path}&tag=2.0.0")
        assert data["to_refresh"] == []
        assert "does not satisfy ^1.0.0" in data["why_no_match"]
        assert data["verdicts"][0]["rule"] == "semver.not_satisfied"

    def test_explanations_do_not_name_hidden_projects(self, signed_in, product, world):
        hidden = routed_project(product, world, image("example/api-hint"))
        project = routed_project(product, world)
        path = f"/api/explain?project={project.name}&repository=example/api-hint&tag=1.0.0"
        data = get(signed_in(f"viewer:{project.name}"), path)
        assert hidden.name not in json.dumps(data)
        viewer = signed_in("viewer")
        until(
            "the explanation names the other project",
            lambda: hidden.name in get(viewer, path)["why_no_match"],
        )

    @pytest.mark.parametrize(
        ("query", "status", "message"),
        [
            ("repository=a/b", 400, "project is missing"),
            ("project=x", 400, "repository is missing"),
            ("project=x&repository=" + "y" * 256, 400, "repository can have at most 255 characters"),
            ("project=elsewhere&repository=a/b", 404, "not found"),
            ("project=cluster&repository=a/b", 404, "not found"),
        ],
    )
    def test_an_invalid_query_is_rejected_with_a_message(self, signed_in, query, status, message):
        assert get(signed_in("viewer:x"), f"/api/explain?{query}", status)["error"] == message


@pytest.mark.parametrize("path", ["/api/deliveries", "/api/explain", "/api/nothing"])
def test_a_user_needs_a_session_and_a_role(browser, signed_in, path):
    assert get(browser, path, 403) == {"error": "sign in first"}
    if path != "/api/nothing":
        assert get(signed_in(), path, 403) == {"error": "you need a role first"}


def test_an_unknown_path_is_404_in_json(signed_in):
    assert get(signed_in("viewer"), "/api/nothing", 404) == {"error": "not found"}
