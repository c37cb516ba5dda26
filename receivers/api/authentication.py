"""Authenticate programs by API tokens."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from receivers.accounts import tokens
from receivers.models import ApiToken


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer kgw_...`. The request's user has the access of the token, not the owner's."""

    def authenticate(self, request: Request) -> tuple[object, ApiToken] | None:
        """Return the owner and the token; None without one. Raises `AuthenticationFailed` if it is invalid."""
        kind, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if kind.lower() != "bearer":
            return None
        token = tokens.find(text.strip())
        if token is None:
            raise AuthenticationFailed("The API token is unknown, expired or revoked.")
        user = token.user
        user._kargoweb_access = tokens.access_with(token)  # type: ignore[attr-defined]  # where `access_of` keeps it
        return user, token

    def authenticate_header(self, request: Request) -> str:
        """Return the header WWW-Authenticate of a response without authentication."""
        return "Bearer"


class TokenThrottle(SimpleRateThrottle):
    """Limits the requests of each token. People in a browser are not limited."""

    scope = "token"

    def get_cache_key(self, request: Request, view: object) -> str | None:
        """Return the key of the token's counter."""
        return f"throttle-token-{request.auth.pk}" if isinstance(request.auth, ApiToken) else None
