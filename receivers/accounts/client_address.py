"""Where a request came from."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings


def client_address(environ: Mapping[str, Any], hops: int) -> str:
    """Return the sender's address: the peer's, or what the outermost of `hops` (0 or more) own proxies saw."""
    forwarded = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if hops and len(forwarded) >= hops:
        return str(forwarded[-hops])
    return str(environ.get("REMOTE_ADDR", ""))


def ip_address(request: Any) -> str | None:
    """Return the sender's IP address, None if what stands for it is none: a database field takes nothing else."""
    try:
        return str(ipaddress.ip_address(client_address(request.META, settings.KARGOWEB.forwarded_hops)))
    except ValueError:
        return None
