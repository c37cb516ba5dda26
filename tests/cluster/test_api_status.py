"""Every HTTP status of an API server maps to one error."""

from __future__ import annotations

import json

import pytest

from receivers.cluster import errors
from receivers.cluster.api_status import MESSAGE_LIMIT, error_of


def status(message: str = "", **fields) -> bytes:
    return json.dumps({"kind": "Status", "message": message, **fields}).encode()


ANONYMOUS = 'warehouses is forbidden: User "system:anonymous" cannot list resource'
WEBHOOK = 'admission webhook "warehouse.kargo" denied the request: spec is invalid'


@pytest.mark.parametrize(
    ("code", "body", "kind", "transient"),
    [
        (400, status("bad"), errors.Rejected, False),
        (401, status("Unauthorized"), errors.Unauthorized, True),
        (403, status("no"), errors.Forbidden, False),
        (403, status(ANONYMOUS), errors.Unauthorized, True),
        (403, status(WEBHOOK), errors.Rejected, False),
        (404, b"404 page not found\n", errors.NotInstalled, False),
        (
            404,
            status("the server could not find the requested resource", details={}),
            errors.NotInstalled,
            False,
        ),
        (404, status('warehouses "w" not found', details={"name": "w"}), errors.NotFound, False),
        (409, status("modified", reason="Conflict"), errors.Conflict, True),
        (409, status("exists", reason="AlreadyExists"), errors.AlreadyExists, False),
        (410, status("expired"), errors.Gone, True),
        (418, b"", errors.Rejected, False),
        (422, status("invalid"), errors.Rejected, False),
        (429, status("slow down"), errors.Throttled, True),
        (302, b"", errors.ServerError, True),
        (500, status("oops"), errors.ServerError, True),
        (503, b"<html>", errors.ServerError, True),
    ],
)
def test_each_status_code_has_its_error(code, body, kind, transient):
    error = error_of(code, body, None, "patch Warehouse w")
    assert type(error) is kind
    assert error.transient is transient
    assert str(error).startswith("could not patch Warehouse w: ")


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        pytest.param("7", status(), 7.0, id="from the header"),
        pytest.param(None, status(details={"retryAfterSeconds": 3}), 3.0, id="from the status"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", status(), None, id="date"),
        pytest.param("-1", status(), None, id="negative"),
        pytest.param("nan", status(), None, id="not a number"),
        pytest.param(None, b"", None, id="missing"),
    ],
)
def test_retry_after_comes_from_the_header_or_the_status(header, body, seconds):
    assert error_of(429, body, header, "list").retry_after == seconds


def test_a_long_message_is_truncated():
    assert len(str(error_of(400, status("x" * 10_000), None, "list"))) < MESSAGE_LIMIT + 100
