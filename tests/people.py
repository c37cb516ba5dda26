"""Users and sessions, without the cost of hashing a password each time (up to a second on a busy machine)."""

from __future__ import annotations

from functools import cache

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore


@cache
def _hashed(password: str) -> str:
    return make_password(password)


def create_user(name: str, password: str, *groups: str, superuser: bool = False) -> User:
    """Create a user in these groups. All users with the same password share one hash."""
    user = User.objects.create(username=name, password=_hashed(password), is_superuser=superuser)
    user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    return user


def create_session(user: User) -> str:
    """Sign a user in without the sign-in page; return the value of the session cookie."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    assert session.session_key
    return session.session_key
