"""Whether Docker Hub, which is out on the internet, can reach a receiver URL."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

DOCKER_HUB_URL_LIMIT: Final = 255  # characters of a webhook URL that Docker Hub stores

_THIS_MACHINE: Final = "is this machine itself"
# Names that only a cluster, a machine or a network of one's own resolves: Kubernetes' DNS, RFC 6761, RFC 6762, and the
# one that ICANN has set aside for private use.
_INNER_DOMAINS: Final = {
    "localhost": _THIS_MACHINE,
    "svc": "is a name inside the cluster",
    "cluster.local": "is a name inside the cluster",
    "local": "is a name on the local network",
    "internal": "is a name on a private network",
    "home.arpa": "is a name on a home network",
    "test": "is a name for tests",
    "invalid": "is no name at all",
}
_CARRIER_NAT: Final = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL; None for what cannot be one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts if parts.hostname else None


def why_unreachable(host: str) -> str:
    """Say why Docker Hub cannot reach a host, as the end of a sentence that begins with its name; empty if it may.

    `host` is a host name or an address without brackets. Names are not looked up: what they resolve to here says
    nothing about what they resolve to out there.
    """
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _why_unreachable_name(name)
    return _why_unreachable_address(address)


def _why_unreachable_name(name: str) -> str:
    for domain, why in _INNER_DOMAINS.items():
        if name == domain or name.endswith(f".{domain}"):
            return why
    return "" if "." in name else "is a name without a domain"


def _why_unreachable_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return _THIS_MACHINE
    if address.is_link_local:
        return "is an address of the local link"
    if isinstance(address, ipaddress.IPv4Address) and address in _CARRIER_NAT:
        return "is an address behind a provider's NAT"
    return "" if address.is_global and not address.is_multicast else "is a private or reserved address"


def is_local(url: str) -> bool:
    """Say whether a URL leads to the machine it is called from: localhost, or a loopback address."""
    parts = split_url(url)
    return parts is not None and why_unreachable(parts.hostname or "") == _THIS_MACHINE
