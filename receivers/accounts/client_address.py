"""Determine the client address of a request."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest


def client_address(environ: Mapping[str, Any], hops: int) -> str:
    """Return the address of a request's client.

    `hops` is the number of trusted proxies in front of kargoweb (0 or more). With proxies, the address is the one that
    the outermost of them saw (`X-Forwarded-For`); entries further left can be forged by the client.
    """
    forwarded = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if hops and len(forwarded) >= hops:
        return str(forwarded[-hops])
    return str(environ.get("REMOTE_ADDR", ""))


def ip_address(request: HttpRequest) -> str | None:
    """Return the client's IP address for django-axes, or None if it is not a valid IP address.

    Its database field accepts nothing else.
    """
    try:
        return str(ipaddress.ip_address(client_address(request.META, settings.KARGOWEB.forwarded_hops)))
    except ValueError:
        return None
