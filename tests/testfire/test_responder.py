"""The server that responded to a test push is identified by its response alone."""

from __future__ import annotations

import pytest

from receivers.kargo import responses
from receivers.testfire.responder import describe_other_responder

OURS = "0199c0de-0000-7000-8000-000000000001"
THEIRS = "0199c0de-0000-7000-8000-000000000002"
KEY = "its token was not signed with the secret key of this kargoweb"


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_a_response_with_the_expected_delivery_is_ours(status):
    assert describe_other_responder(status, "{}", delivery=OURS, expected=OURS) == ""


CASES = {
    "another key": (
        (403, responses.refused_test(KEY).body.decode(), THEIRS, "", ""),
        ["refused the test", "different secret key", "another kargoweb", THEIRS],
    ),
    "another delivery": (
        (200, '{"msg":"refreshed 1 warehouse(s)"}\n', THEIRS, "", ""),
        [THEIRS, "isn’t the delivery of this test"],
    ),
    "an invalid delivery": ((200, "hello", "<b>", "", ""), ["Another server", '"<b>"']),
    "Kargo": (
        (200, '{"msg":"refreshed 3 warehouse(s)"}\n', "", "", ""),
        ["Kargo’s own server", "refreshed 3", "dry run"],
    ),
    "an unknown URL": ((404, "{}\n", "", "", ""), ["doesn’t know this receiver"]),
    "not ready": ((503, responses.UNAVAILABLE.body.decode(), "", "", ""), ["isn’t ready"]),
    "a redirect": (
        (308, "", "", "nginx", "https://x.example/"),
        ["redirects", '"https://x.example/"', "308"],
    ),
    "a redirect without a target": ((302, "", "", "", ""), ["redirects (status 302)"]),
    "the Ingress": (
        (404, "<html>default backend - 404</html>", "", "nginx", ""),
        ["Another server", '"nginx"', "status 404", "default backend"],
    ),
    "an empty response": ((502, "", "", "", ""), ["status 502", "empty"]),
}


@pytest.mark.parametrize(("response", "words"), CASES.values(), ids=CASES)
def test_another_responder_is_described(response, words):
    status, body, delivery, server, location = response
    sentence = describe_other_responder(
        status, body, delivery=delivery, expected=OURS, server=server, location=location
    )
    for word in words:
        assert word in sentence


def test_the_description_is_short_and_contains_no_digest():
    sentence = describe_other_responder(
        302,
        "x" * 9_999,
        delivery="",
        expected=OURS,
        server="y" * 999,
        location="https://x/dockerhub/" + "ab" * 32,
    )
    assert "ab" * 32 not in sentence
    sentence = describe_other_responder(500, "x" * 9_999, delivery="", expected=OURS, server="y" * 999)
    assert len(sentence) < 500
