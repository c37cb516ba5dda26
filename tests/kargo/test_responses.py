"""The responses of receiver URLs, byte for byte."""

import pytest

from receivers.kargo import responses


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (responses.refreshed(0), 200, b'{"msg":"refreshed 0 warehouse(s)"}\n'),
        (responses.refreshed(12), 200, b'{"msg":"refreshed 12 warehouse(s)"}\n'),
        (responses.failed(1, 3), 500, b'{"error":"failed to refresh 1 of 3 warehouses"}\n'),
        (responses.INVALID_BODY, 400, b'{"error":"invalid request body"}\n'),
        (responses.NOT_FOUND, 404, b"{}\n"),
        (responses.TOO_LARGE, 413, b'{"error":"content exceeds limit of 2097152 bytes"}\n'),
        (responses.METHOD_NOT_ALLOWED, 405, b'{"error":"only POST is taken here"}\n'),
        (responses.UNAVAILABLE, 503, b'{"error":"not ready to take this push; please send it again"}\n'),
        (responses.unavailable("no database"), 503, b'{"error":"no database"}\n'),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_a_response_is_one_line_of_json(response, status, body):
    assert (response.status, response.body) == (status, body)


def test_the_body_limit_is_the_same_as_in_kargo():
    assert responses.MAX_BODY == 2_097_152
