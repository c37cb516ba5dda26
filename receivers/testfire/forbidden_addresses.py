"""Addresses to which no test push is sent: those that give a pod the credentials of its node."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

METADATA_SERVICES: Final = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
"""Metadata services of cloud providers whose address is not link-local, as most are (169.254.169.254)."""

NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052; the last 32 bits are an IPv4 address


def is_forbidden(address: str) -> bool:
    """Return whether an IP address is link-local or that of a metadata service, also if it contains an IPv4 one."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        ip = _embedded(ip) or ip
    return ip.is_link_local or ip in METADATA_SERVICES


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
