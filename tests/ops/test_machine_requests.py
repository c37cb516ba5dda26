"""Pushes, probes and metrics are served without the middleware of the pages."""

from __future__ import annotations

import pytest

from receivers.ops import runtime

PUSH = "/dockerhub/" + "0" * 64
COOKIES = {"Cookie": "sessionid=unknown; csrftoken=unknown"}
SENT_BY_THE_SERVER = {"date", "server", "transfer-encoding", "connection"}


def headers_of(response):
    """Return the names of the headers that the product sends, in lower case."""
    return {name.lower() for name in response.headers} - SENT_BY_THE_SERVER


def test_a_push_is_answered_without_headers_for_browsers(product):
    response = product.post(PUSH, b"{}", COOKIES)
    assert headers_of(response) == {"content-type", "content-length", "allow"}
    assert (response.headers["Content-Type"], response.headers["Content-Length"]) == ("application/json", "3")


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/metrics", 404)])
def test_probes_are_answered_without_headers_for_browsers(product, path, status):
    response = product.get(path)
    assert response.status == status
    assert headers_of(response) <= {"content-type", "content-length"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/healthz", 200), ("GET", "/readyz", 200), ("POST", PUSH, 404)]
)
def test_machines_may_use_any_host_name(product, method, path, status):
    other_host = {"Host": "10.0.0.7:8000"}
    assert product.post(path, None, other_host, method=method).status == status
    assert product.post("/sign-in", None, other_host, method="GET").status == 400


def test_a_request_with_another_method_is_405_in_the_form_of_a_webhook_response(product):
    response = product.get(PUSH)
    assert (response.status, response.data) == (405, b'{"error":"only POST is taken here"}\n')
    assert headers_of(response) == {"content-type", "content-length", "allow"}


def test_an_unexpected_error_is_500_with_an_empty_object_and_is_logged(admin_client, monkeypatch, caplog):
    monkeypatch.setattr(runtime, "_current", None)
    response = admin_client.post(PUSH, b"{}", content_type="application/json")
    assert (response.status_code, response.content) == (500, b"{}\n")
    assert response.headers["Content-Type"] == "application/json"
    [record] = [record for record in caplog.records if record.message == "failed to process a push"]
    assert isinstance(record.exc_info[1], RuntimeError)


def test_an_unexpected_error_of_a_probe_is_500(admin_client, monkeypatch):
    monkeypatch.setattr(runtime, "_current", None)
    admin_client.raise_request_exception = False
    assert admin_client.get("/readyz").status_code == 500
