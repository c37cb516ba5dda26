"""Who answered a test, from the answer alone."""

from __future__ import annotations

import pytest

from receivers.kargo import responses
from receivers.testfire.responder import not_ours

OURS = "0199c0de-0000-7000-8000-000000000001"
THEIRS = "0199c0de-0000-7000-8000-000000000002"
KEY = "its ticket was not signed with the secret key of this kargoweb"


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_an_answer_with_our_delivery_is_ours_whatever_it_says(status):
    assert not_ours(status, "{}", delivery=OURS, expected=OURS) == ""


CASES = {
    "another key": (
        (403, responses.refused_test(KEY).body.decode(), THEIRS, "", ""),
        ["refused the test", "secret key", "another kargoweb", THEIRS],
    ),
    "another delivery": (
        (200, '{"msg":"refreshed 1 warehouse(s)"}\n', THEIRS, "", ""),
        [THEIRS, "not the one"],
    ),
    "a made-up delivery": ((200, "hello", "<b>", "", ""), ["Something else", '"<b>"']),
    "Kargo": (
        (200, '{"msg":"refreshed 3 warehouse(s)"}\n', "", "", ""),
        ["Kargo’s own server", "refreshed 3", "dry run"],
    ),
    "an unknown URL": ((404, "{}\n", "", "", ""), ["no such receiver"]),
    "not ready": ((503, responses.UNAVAILABLE.body.decode(), "", "", ""), ["not ready"]),
    "a redirect": (
        (308, "", "", "nginx", "https://x.example/"),
        ["redirects", '"https://x.example/"', "308"],
    ),
    "a redirect to nowhere": ((302, "", "", "", ""), ["redirects (302)"]),
    "the Ingress": (
        (404, "<html>default backend - 404</html>", "", "nginx", ""),
        ["Something else", '"nginx"', "status 404", "default backend"],
    ),
    "nothing": ((502, "", "", "", ""), ["status 502", "empty"]),
}


@pytest.mark.parametrize(("answer", "words"), CASES.values(), ids=CASES)
def test_anybody_else_is_told_as_what_he_is(answer, words):
    status, body, delivery, server, location = answer
    told = not_ours(status, body, delivery=delivery, expected=OURS, server=server, location=location)
    for word in words:
        assert word in told


def test_what_is_told_is_short_and_holds_no_digest():
    told = not_ours(
        302,
        "x" * 9_999,
        delivery="",
        expected=OURS,
        server="y" * 999,
        location="https://x/dockerhub/" + "ab" * 32,
    )
    assert "ab" * 32 not in told
    told = not_ours(500, "x" * 9_999, delivery="", expected=OURS, server="y" * 999)
    assert len(told) < 500
