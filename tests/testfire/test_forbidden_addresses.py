"""Test pushes do not reach the services that give a pod the credentials of its node."""

from __future__ import annotations

import pytest

from receivers.testfire.forbidden_addresses import is_forbidden
from receivers.testfire.probe import ProbeError, ProbeStep, post

FORBIDDEN = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "::ffff:a83f:8110",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
ALLOWED = [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "203.0.113.7",
    "2001:db8::1",
    "fd12::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_link_local_and_metadata_addresses_are_forbidden(address):
    assert is_forbidden(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_private_and_public_addresses_are_allowed(address):
    assert not is_forbidden(address)


@pytest.mark.parametrize("host", ["169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]"])
def test_no_connection_to_a_forbidden_address_is_opened(host):
    with pytest.raises(ProbeError, match="a link-local or metadata address") as caught:
        post(f"http://{host}/dockerhub/{'a1' * 32}", b"{}", {}, 5.0)
    assert caught.value.step is ProbeStep.CONNECT
