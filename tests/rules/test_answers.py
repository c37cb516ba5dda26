"""The answers, byte for byte."""

import pytest

from receivers.rules import answers


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (answers.refreshed(0), 200, b'{"msg":"refreshed 0 warehouse(s)"}\n'),
        (answers.refreshed(12), 200, b'{"msg":"refreshed 12 warehouse(s)"}\n'),
        (answers.failed(1, 3), 500, b'{"error":"failed to refresh 1 of 3 warehouses"}\n'),
        (answers.INVALID_BODY, 400, b'{"error":"invalid request body"}\n'),
        (answers.NOT_FOUND, 404, b"{}\n"),
        (answers.TOO_LARGE, 413, b'{"error":"content exceeds limit of 2097152 bytes"}\n'),
        (answers.METHOD_NOT_ALLOWED, 405, b'{"error":"only POST is taken here"}\n'),
        (answers.UNAVAILABLE, 503, b'{"error":"not ready to take this push; please send it again"}\n'),
        (answers.unavailable("no database"), 503, b'{"error":"no database"}\n'),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_answers_are_one_line_of_json(answer, status, body):
    assert (answer.status, answer.body) == (status, body)


def test_the_limit_is_that_of_kargo():
    assert answers.MAX_BODY == 2_097_152
