"""The client address of a request, with and without proxies."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import RequestFactory

from receivers.accounts.client_address import client_address, ip_address

CASES = [
    # X-Forwarded-For, number of trusted proxies, client address
    ("", 0, "10.0.0.1"),
    ("203.0.113.7", 0, "10.0.0.1"),
    ("203.0.113.7", 1, "203.0.113.7"),
    ("6.6.6.6, 203.0.113.7", 1, "203.0.113.7"),
    ("6.6.6.6, 203.0.113.7, 10.1.1.1", 2, "203.0.113.7"),
    ("203.0.113.7", 2, "10.0.0.1"),
    (" , ", 1, "10.0.0.1"),
]


@pytest.mark.parametrize(("forwarded", "hops", "expected"), CASES)
def test_only_addresses_from_trusted_proxies_are_used(forwarded: str, hops: int, expected: str) -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(environ, hops) == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("unknown", None),
        ("", None),
        ("1.2.3.4:80", None),
    ],
)
def test_an_invalid_ip_address_is_not_stored(peer: str, expected: str | None) -> None:
    assert settings.KARGOWEB.forwarded_hops == 0
    assert ip_address(RequestFactory().get("/", REMOTE_ADDR=peer)) == expected
