"""API tokens: create, find and revoke them."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from receivers.accounts.access import access_of
from receivers.accounts.roles import Access, Role
from receivers.models import ApiToken, TokenScope, storable

PREFIX: Final = "kgw_"
"""By which people and secret scanners recognize a token."""

USE_RECORDED: Final = timedelta(minutes=1)  # a token that is used all the time is not written all the time
HINT: Final = 4  # characters
HIGHEST_ROLE: Final = {
    TokenScope.READ: Role.VIEWER,
    TokenScope.OPERATE: Role.OPERATOR,
    TokenScope.ADMIN: Role.ADMIN,
}


def create(
    user: Any, name: str, scope: TokenScope, *, project: str = "", expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Store a new token of a user; return it and its text, which can't be read again."""
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=storable(name, 80),
        secret_hash=_hash(text),
        hint=text[-HINT:],
        scope=scope,
        project=project,
        expires_at=expires_at,
    )
    return token, text


def find(text: str) -> ApiToken | None:
    """Return the valid token of an active user with this text, and note its use."""
    if not text.startswith(PREFIX):
        return None
    token = ApiToken.objects.select_related("user").filter(secret_hash=_hash(text)).first()
    if token is None or not token.is_valid or not token.user.is_active:
        return None
    now = timezone.now()
    outdated = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_RECORDED)
    if token.last_used_at is None or now - token.last_used_at > USE_RECORDED:
        ApiToken.objects.filter(outdated, pk=token.pk).update(last_used_at=now)
    return token


def access_with(token: ApiToken) -> Access:
    """Return what the token permits: what its owner may do now, within its scope and project."""
    return access_of(token.user).limited(HIGHEST_ROLE[TokenScope(token.scope)], token.project)


def of_user(user: Any) -> QuerySet[ApiToken]:
    """Return the tokens of a user that are not revoked, the newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None).order_by("-id")


def revoke(token: ApiToken) -> None:
    """Make a token invalid from now on."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())


def _hash(text: str) -> bytes:
    return sha256(text.encode()).digest()
