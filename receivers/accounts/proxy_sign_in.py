"""Sign in users that a trusted proxy, such as oauth2-proxy, names in a header.

The header is a credential of the proxy: it counts only on connections from the proxy's addresses, and the session that
it begins ends with the first request without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from receivers.accounts.external_users import PROXY, NameTaken, NoName, external_user, set_roles

log = logging.getLogger(__name__)

UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"  # stands for a header that isn't ASCII
GROUPS: Final = "kargoweb_proxy_groups"  # in the session: those that the roles were set by


class ProxyBackend(ModelBackend):
    """The backend of sessions that a proxy began. It checks no passwords."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Return None."""


BY_PROXY: Final = f"{ProxyBackend.__module__}.{ProxyBackend.__qualname__}"


def sign_in_by_proxy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Return middleware that signs in the user whom the proxy names. It follows Django's authentication."""
    proxy = settings.KARGOWEB.proxy
    user_key, groups_key = _meta(proxy.user_header), _meta(proxy.groups_header)

    def middleware(request: HttpRequest) -> HttpResponse:
        name = request.META.get(user_key, "").strip()
        began = request.session.get("_auth_user_backend") == BY_PROXY
        if name and not _is_proxy(request.META.get("REMOTE_ADDR", "")):
            log.warning(
                "refused a request with the header %s from %s, which is not in KARGOWEB_PROXY_ADDRESSES",
                proxy.user_header,
                request.META.get("REMOTE_ADDR"),
            )
            return _refused(f"Only the proxy may send the header {proxy.user_header}.")
        if name:
            groups = request.META.get(groups_key, "")
            same = began and request.user.get_username() == name and request.session.get(GROUPS) == groups
            if not same and (problem := _sign_in(request, name, groups)):
                return _refused(problem)
        elif began:
            logout(request)
        return get_response(request)

    return middleware


def _sign_in(request: HttpRequest, name: str, groups: str) -> str:
    """Begin a session with the roles that the groups grant. Return why that is impossible, or nothing."""
    if UNREADABLE in name:
        # All such names look the same.
        return "The user name is not ASCII. Have the proxy send another one, such as the e-mail address."
    roles = settings.KARGOWEB.proxy.roles
    names = [group.strip() for group in groups.split(",") if group.strip()]
    try:
        with transaction.atomic():
            user = external_user(PROXY, name, name, names)
            set_roles(user, {role for group in names for role in roles.get(group, ())})
    except NoName:
        return "The proxy sent no usable user name."
    except NameTaken as error:
        return str(error)
    if not user.is_active:
        logout(request)
        return "Your account is disabled."
    login(request, user, backend=BY_PROXY)
    request.session[GROUPS] = groups
    return ""


def _is_proxy(address: str) -> bool:
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    return any(peer in network for network in settings.KARGOWEB.proxy.addresses)


def _meta(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"


def _refused(reason: str) -> HttpResponse:
    response = HttpResponse(f"{reason}\n", status=403, content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response
