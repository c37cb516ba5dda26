"""The REST API."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus

import pytest

from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.serializers import DeliverySerializer
from receivers.models import Audit, Origin, Outcome
from receivers.ops import runtime
from tests.clusters import until
from tests.deliveries.rows import store, unique_name
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.web.conftest import other_installation
from tests.web.deliveries import failed_delivery, send_push
from tests.web.locks import locked_table
from tests.web.queries import query_count
from tests.worlds import image, push_body


def get(browser, path, status=200):
    """Return the JSON of a response, which must have this status and must not be cached."""
    text = browser.open(path)
    assert browser.status == status, text
    assert browser.headers["Content-Type"] == f"application/{'problem+' if status >= 400 else ''}json"
    assert browser.headers["Cache-Control"] == "no-store"
    return json.loads(text)


STATUSES = {
    "invalid": 400, "authentication_failed": 401, "not_authenticated": 401, "no_role": 403, "permission_denied": 403,
    "not_found": 404, "method_not_allowed": 405, "not_acceptable": 406, "conflict": 409, "error": 500,
    "unavailable": 503,
}  # fmt: skip


def error(code, detail, fields=None):
    """Return the problem details of an error."""
    return {
        "type": f"urn:kargoweb:error:{code}",
        "title": HTTPStatus(STATUSES[code]).phrase,
        "status": STATUSES[code],
        "code": code,
        "detail": detail,
        "fields": fields or {},
    }


NOT_FOUND = error("not_found", "Not found.")


def redeliver(browser, delivery_id, *, csrf_token=True):
    """Redeliver through the API; return the JSON of the response."""
    browser.open("/deliveries/redeliver")  # sets the cookie with the token
    headers = {"X-CSRFToken": browser.cookie("csrftoken")} if csrf_token else {}
    return json.loads(browser.open(f"/api/v1/deliveries/{delivery_id}/redeliver", {"ignored": "1"}, headers))


class TestList:
    def test_deliveries_are_filtered_serialized_and_paginated(self, signed_in, database):
        project = unique_name()
        rows = store(
            *(failed_delivery(project, n) for n in range(3)),
            failed_delivery(project, 9, outcome=Outcome.FREIGHT_CREATED),
        )
        browser = signed_in("viewer")
        first = get(browser, f"/api/v1/deliveries?project={project}&outcome=bad&size=2")
        assert [row["id"] for row in first["deliveries"]] == [str(rows[2].pk), str(rows[1].pk)]
        assert set(first) == {"deliveries", "next", "looked_to"}
        stored = delivery_log().narrow().get(pk=rows[2].pk)
        stored.repeats = 1
        assert first["deliveries"][0] == DeliverySerializer(stored).data
        path = f"/api/v1/deliveries?project={project}&outcome=bad&size=2&after={first['next']}"
        second = get(browser, path)
        assert [row["id"] for row in second["deliveries"]] == [str(rows[0].pk)]
        assert second["next"] == ""

    def test_each_push_is_listed_once_unless_all_deliveries_are_requested(self, signed_in, database):
        project, push = unique_name(), uuid.uuid4()
        store(*(failed_delivery(project, n, push_id=push) for n in range(3)))
        browser = signed_in("viewer")
        [listed] = get(browser, f"/api/v1/deliveries?project={project}")["deliveries"]
        assert listed["repeats"] == 3
        for query in ("every=1", f"push={push}"):
            assert len(get(browser, f"/api/v1/deliveries?project={project}&{query}")["deliveries"]) == 3

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("since=yesterday", "must be a time such as"),
            ("outcome=x", "must be one or more of these"),
            ("text=%00", "can't contain NUL characters"),
            ("after=x", "It must be the `next` of the previous page."),
            ("size=0", "Ensure this value is greater than or equal to 1."),
            ("size=501", "Ensure this value is less than or equal to 500."),
            ("size=x", "A valid integer is required."),
            ("size=" + "9" * 5000, "String value too large."),
        ],
    )
    def test_an_invalid_query_is_400_and_names_the_field(self, signed_in, query, message):
        error = get(signed_in("viewer"), f"/api/v1/deliveries?{query}", 400)
        field = query.partition("=")[0]
        assert error["fields"].keys() == {field}
        assert error["fields"][field][0].startswith(message)
        assert (error["code"], error["detail"].startswith(f"{field}: {message}")) == ("invalid", True)

    def test_every_invalid_parameter_of_the_page_is_named(self, signed_in):
        error = get(signed_in("viewer"), "/api/v1/deliveries?size=x&after=%00", 400)
        assert error["fields"].keys() == {"size", "after"}

    def test_blank_filters_are_refused(self, signed_in):
        """The variable of a script may not be set."""
        response = get(signed_in("viewer"), "/api/v1/deliveries?project=&after=&tag=", 400)
        problem = ["It must not be empty."]
        assert response["fields"] == {"project": problem, "tag": problem}

    def test_hidden_deliveries_are_neither_listed_nor_shown(self, signed_in, database):
        own, other, cluster = store(
            failed_delivery(unique_name()), failed_delivery(unique_name()), failed_delivery("")
        )
        browser = signed_in(f"viewer:{own.project}")
        [listed] = get(browser, "/api/v1/deliveries")["deliveries"]
        assert listed["id"] == str(own.pk)
        for pk in (other.pk, cluster.pk, uuid.uuid4()):
            assert get(browser, f"/api/v1/deliveries/{pk}", 404) == NOT_FOUND

    def test_the_number_of_queries_does_not_grow_with_rows(self, admin_client, database):
        few, many = unique_name(), unique_name()
        store(failed_delivery(few), *(failed_delivery(many, n) for n in range(40)))
        queries = query_count(admin_client, f"/api/v1/deliveries?project={many}")
        assert queries == query_count(admin_client, f"/api/v1/deliveries?project={few}") <= 8


class TestDetail:
    def test_a_delivery_has_all_fields_except_verdicts_of_hidden_projects(self, signed_in, product, world):
        hidden = routed_project(product, world, image("example/api-elsewhere"))
        project = routed_project(product, world)
        row = send_push(product, project, push_body("example/api-elsewhere"))
        data = get(signed_in("viewer"), f"/api/v1/deliveries/{row.pk}")
        assert (data["id"], data["answer"]) == (str(row.pk), row.answer)
        assert json.loads(data["request"]["body"]) == json.loads(push_body("example/api-elsewhere"))
        assert [verdict["project"] for verdict in data["verdicts"]] == [hidden.name]
        limited_data = get(signed_in(f"viewer:{project.name}"), f"/api/v1/deliveries/{row.pk}")
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
        assert "CSRF" in redeliver(browser, row.pk, csrf_token=False)["detail"]
        assert browser.status == 403
        assert not row.redeliveries.exists()

    def test_a_viewer_cannot_redeliver(self, signed_in, database):
        [row] = store(failed_delivery(unique_name()))
        browser = signed_in(f"viewer:{row.project}", f"operator:{unique_name()}")
        response = redeliver(browser, row.pk)
        assert (browser.status, response) == (
            403,
            error("permission_denied", "You do not have permission to perform this action."),
        )
        assert not row.redeliveries.exists()

    def test_a_delivery_that_cannot_be_redelivered_is_409_with_a_message(self, signed_in, database):
        [row] = store(failed_delivery(unique_name(), outcome=Outcome.TOO_LARGE, body=b""))
        browser = signed_in("operator")
        response = redeliver(browser, row.pk)
        assert browser.status == 409
        problem = "This delivery can't be redelivered: its body was too large to be stored."
        assert response == error("conflict", problem)

    def test_a_hidden_delivery_cannot_be_redelivered(self, signed_in, database):
        [row] = store(failed_delivery(unique_name()))
        browser = signed_in(f"operator:{unique_name()}")
        assert redeliver(browser, row.pk) == NOT_FOUND
        assert browser.status == 404
        assert not row.redeliveries.exists()


class TestExplain:
    def test_a_push_to_git_is_explained(self, signed_in, product, world):
        project = routed_project(product, world, image("example/api-git"))
        url = f"https://git.example.com/{project.name}"
        project.warehouse("config", {"git": {"repoURL": url, "branch": "main", "includePaths": ["apps"]}})
        path = (
            f"/api/v1/explain?project={project.name}&repository={url}&ref=refs/heads/main&files=docs/a,apps/b"
        )
        browser = signed_in("viewer")
        until("the Warehouse is known", lambda: get(browser, path)["to_refresh"])
        assert get(browser, path.replace("apps/b", "x"))["to_refresh"] == []

    def test_a_push_is_explained_with_its_warehouses_and_reasons(self, signed_in, product, world):
        project = routed_project(product, world, image("example/api-explain", constraint="^1.0.0"))
        browser = signed_in(f"viewer:{project.name}")
        path = f"/api/v1/explain?project={project.name}&repository=example/api-explain"
        data = get(browser, f"{path}&tag=1.2.3")
        assert data["to_refresh"] == [{"project": project.name, "warehouse": "warehouse-0"}]
        data = get(browser, f"{path}&tag=2.0.0")
        assert data["to_refresh"] == []
        assert "does not satisfy ^1.0.0" in data["why_no_match"]
        assert data["verdicts"][0]["rule"] == "semver.not_satisfied"

    def test_explanations_do_not_name_hidden_projects(self, signed_in, product, world):
        hidden = routed_project(product, world, image("example/api-hint"))
        project = routed_project(product, world)
        path = f"/api/v1/explain?project={project.name}&repository=example/api-hint&tag=1.0.0"
        data = get(signed_in(f"viewer:{project.name}"), path)
        assert hidden.name not in json.dumps(data)
        viewer = signed_in("viewer")
        until(
            "the explanation names the other project",
            lambda: hidden.name in get(viewer, path)["why_no_match"],
        )

    @pytest.mark.parametrize(
        ("query", "field", "message"),
        [
            ("repository=a/b", "project", "This field is required."),
            ("project=x", "repository", "This field is required."),
            ("project=x&repository=", "repository", "This field may not be blank."),
            ("project=x&repository=a/b&tag=%00", "tag", "It can't contain control characters."),
            (
                "project=x&repository=" + "y" * 256,
                "repository",
                "Ensure this field has no more than 255 characters.",
            ),
        ],
    )
    def test_an_invalid_query_is_400_and_names_the_field(self, signed_in, query, field, message):
        response = get(signed_in("viewer:x"), f"/api/v1/explain?{query}", 400)
        assert response["fields"].keys() == {field}
        assert response["fields"][field][0] == message
        assert response["detail"] == f"{field}: {' '.join(response['fields'][field])}"

    @pytest.mark.parametrize("project", ["elsewhere", "cluster"])
    def test_a_hidden_project_is_404(self, signed_in, project):
        path = f"/api/v1/explain?project={project}&repository=a/b"
        assert get(signed_in("viewer:x"), path, 404) == NOT_FOUND

    @pytest.mark.e2e
    def test_before_the_initial_sync_it_is_503(self, database, tmp_path):
        with other_installation(tmp_path / "no-kubeconfig", ready=False) as (_, browser):
            response = get(browser, "/api/v1/explain?project=x&repository=a/b", 503)
        assert response == error("unavailable", "The initial cluster sync hasn't finished.")
        assert browser.headers["Retry-After"] == "5"


@pytest.mark.parametrize("path", ["/api/v1/deliveries", "/api/v1/explain", "/api/nothing"])
def test_a_user_needs_a_session_and_a_role(browser, signed_in, path):
    assert get(browser, path, 401) == error(
        "not_authenticated", "Authentication credentials were not provided."
    )
    assert get(signed_in(), path, 403) == error("no_role", "You need a role before you can see anything.")


def test_an_unknown_path_is_404_in_json(signed_in):
    assert get(signed_in("viewer"), "/api/nothing", 404) == NOT_FOUND


def test_another_method_is_405_in_json(signed_in):
    browser = signed_in("operator")
    response = get(browser, f"/api/v1/deliveries/{uuid.uuid4()}/redeliver", 405)
    assert response == error("method_not_allowed", 'Method "GET" not allowed.')
    assert browser.headers["Allow"] == "POST, OPTIONS"


def test_a_request_for_another_format_is_406_in_json(signed_in):
    browser = signed_in("viewer")
    response = json.loads(browser.open("/api/v1/deliveries", headers={"Accept": "text/csv"}))
    assert response == error("not_acceptable", "Could not satisfy the request Accept header.")
    assert browser.status == 406


def test_a_body_of_another_type_is_415_in_json(signed_in):
    browser = signed_in("operator")
    browser.open("/deliveries/redeliver")  # sets the cookie with the token
    headers = {"Content-Type": "text/plain", "X-CSRFToken": browser.cookie("csrftoken")}
    response = json.loads(browser.open(f"/api/v1/deliveries/{uuid.uuid4()}/redeliver", {"a": "b"}, headers))
    assert (browser.status, response["code"]) == (415, "unsupported_media_type")


def test_the_options_of_an_action_can_be_read(product, signed_in, database):
    cookie = f"sessionid={signed_in('viewer').cookie('sessionid')}"
    path = f"/api/v1/deliveries/{uuid.uuid4()}/redeliver"
    response = product.post(path, None, {"Cookie": cookie}, method="OPTIONS")
    assert (response.status, response.json()["name"]) == (200, "Redelivery")


def test_an_unexpected_error_is_500_in_json_and_is_logged(admin_client, monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_current", None)
    response = admin_client.get("/api/v1/explain?project=x&repository=a/b")
    assert (response.status_code, response.json()) == (500, error("error", "A server error occurred."))
    assert any(isinstance((record.exc_info or (0, 0))[1], RuntimeError) for record in caplog.records)


def test_a_locked_database_is_503_in_json(admin_client, database):
    [row] = store(failed_delivery(unique_name()))
    with locked_table("receivers_delivery"):
        response = admin_client.post(f"/api/v1/deliveries/{row.pk}/redeliver")
    assert response.json() == error("unavailable", "The database is locked or unreachable.")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert not row.redeliveries.exists()
