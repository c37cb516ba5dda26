"""Users and their sessions, without the cost of hashing each password (up to a second on a busy machine)."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore

PASSWORD: Final = "correct horse battery staple"
BACKEND: Final = "django.contrib.auth.backends.ModelBackend"


@cache
def _hashed_password() -> str:
    return make_password(PASSWORD)


def create_user(*groups: str) -> User:
    """Create a user with a unique name, the password `PASSWORD` and these groups."""
    name = f"user-{secrets.token_hex(5)}"  # short, so that it fits the menu on a phone
    user = User.objects.create(username=name, password=_hashed_password())
    user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    return user


def groups_of(name: str) -> set[str]:
    """Return the groups of a user."""
    return set(User.objects.get(username=name).groups.values_list("name", flat=True))


def create_superuser() -> User:
    """Create a superuser with a unique name and the password `PASSWORD`, in no group."""
    user = create_user()
    user.is_superuser = True
    user.save()
    return user


def create_session(user: User) -> str:
    """Sign a user in without the sign-in page; return the value of the session cookie."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    assert session.session_key
    return session.session_key
