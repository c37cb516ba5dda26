"""Whether Docker Hub, which calls from the internet, can reach a receiver URL."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

_THIS_MACHINE: Final = "is this machine itself"
# Names that resolve only within a cluster, a machine or a private network: Kubernetes DNS, RFC 6761, RFC 6762, and the
# domain that ICANN reserves for private use.
_INTERNAL_DOMAINS: Final = {
    "localhost": _THIS_MACHINE,
    "svc": "is a cluster-internal name",
    "cluster.local": "is a cluster-internal name",
    "local": "is a local network name",
    "internal": "is a private network name",
    "home.arpa": "is a home network name",
    "test": "is a name reserved for tests",
    "invalid": "is an invalid name",
}
_CARRIER_NAT: Final = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it is malformed or has no host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts if parts.hostname else None


def unreachable_reason(host: str) -> str:
    """Return why Docker Hub can't reach a host, as a predicate ("is ..."), or "" if it may be reachable.

    `host` is a host name or an address without brackets. Names are not resolved: what they resolve to inside the
    cluster says nothing about what they resolve to on the internet.
    """
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _unreachable_name_reason(name)
    return _unreachable_address_reason(address)


def _unreachable_name_reason(name: str) -> str:
    for domain, reason in _INTERNAL_DOMAINS.items():
        if name == domain or name.endswith(f".{domain}"):
            return reason
    return "" if "." in name else "is a name without a domain"


def _unreachable_address_reason(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return _THIS_MACHINE
    if address.is_link_local:
        return "is a link-local address"
    if isinstance(address, ipaddress.IPv4Address) and address in _CARRIER_NAT:
        return "is an address behind a provider's NAT"
    return "" if address.is_global and not address.is_multicast else "is a private or reserved address"


def is_local(url: str) -> bool:
    """Return whether a URL points at the machine that uses it: localhost, or a loopback address."""
    parts = split_url(url)
    return parts is not None and unreachable_reason(parts.hostname or "") == _THIS_MACHINE
