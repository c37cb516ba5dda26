"""Digests, paths and URLs of receivers are the same as in Kargo."""

import pytest

from receivers.kargo.receiver_path import base_path, digest, receiver_path, receiver_url

TOKEN = b"mysupersecrettoken"
DIGESTS = {
    "5d611cdf067a398156062773bb89d36e45a278388688479861a578e56db0c4c0": (
        "kargo-demo",
        "dh-wh-receiver",
        TOKEN,
    ),
    "35b82644adfb724e0fbac330301e08ad1c9ea57f7534d0f4ab913c1bd40abed8": (
        "kargo-demo",
        "dh-wh-receiver",
        TOKEN + b"\n",
    ),
    "8a5a41429a6a9900a629afc209322f98ed48cdedef325b2b61f26c5cd57490ca": ("", "dh-wh-receiver", TOKEN),
    "804b6f6bb40eb1f0e371f971d71dd95549be4bc9cbf868046941115f44073c67": (
        "kargo-demo",
        "my-first-receiver",
        b"soylent green is people\n",
    ),
    "65aeaa67ae2c745139de70b668443c0e2c6e16256a6ce07c0fa13e7934fbf98d": ("team", "ab", b"s"),
}
HASH = digest("p", "r", b"s")


@pytest.mark.parametrize(("expected", "parts"), DIGESTS.items())
def test_a_digest_is_the_same_as_in_kargo(expected, parts):
    assert digest(*parts) == expected


def test_parts_are_joined_without_separators_so_receivers_can_collide():
    assert digest("team", "ab", b"s") == digest("teama", "b", b"s")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://kargo.example.com", f"https://kargo.example.com/dockerhub/{HASH}"),
        ("https://kargo.example.com/", f"https://kargo.example.com/dockerhub/{HASH}"),
        ("https://kargo.example.com/webhooks/", f"https://kargo.example.com/webhooks/dockerhub/{HASH}"),
        ("http://localhost:8000/a/../b", f"http://localhost:8000/b/dockerhub/{HASH}"),
        ("http://localhost/a?x=1#y", f"http://localhost/a/dockerhub/{HASH}?x=1#y"),
        ("http://localhost/a%20b", f"http://localhost/a%2520b/dockerhub/{HASH}"),
    ],
)
def test_a_url_consists_of_the_base_url_and_the_path(base, url):
    assert receiver_url(base, "dockerhub", "p", "r", b"s") == url


@pytest.mark.parametrize("base", ["https://kargo.example.com", "https://kargo.example.com/webhooks/"])
def test_a_url_ends_in_the_path_below_its_base_path(base):
    path = receiver_path(base_path(base), "dockerhub", "p", "r", b"s")
    assert receiver_url(base, "dockerhub", "p", "r", b"s") == "https://kargo.example.com" + path


@pytest.mark.parametrize("base", ["http://[::1", "http://host:port/", "http://a b/", "%zz", ":x"])
def test_an_invalid_base_url_is_an_error(base):
    with pytest.raises(ValueError, match=r"^its? "):
        receiver_url(base, "dockerhub", "p", "r", b"s")
