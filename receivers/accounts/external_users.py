"""Users who sign in elsewhere: with an OpenID Connect provider, or at a proxy in front of kargoweb."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User

from receivers.accounts.roles import access_from_groups
from receivers.models import ProviderIdentity

LONGEST_NAME: Final = 150  # characters of a Django user name
LONGEST_EMAIL: Final = 254


class NoName(Exception):
    """A new user has no usable name."""


class NameTaken(Exception):
    """Another account has the name of a new user; the text says so, for the user."""


def external_user(issuer: str, subject: str, name: str, email: str = "") -> User:
    """Return the user that `issuer` calls `subject`; create it under `name` at the first sign-in.

    Raises `NoName` or `NameTaken` if it can't be created.
    """
    identity = ProviderIdentity.objects.filter(issuer=issuer, subject=subject)
    if known := identity.select_related("user").first():
        return known.user
    if not name.strip() or len(name) > LONGEST_NAME or "\0" in name:
        raise NoName
    # A name proves no identity: the account may belong to another person.
    if get_user_model()._default_manager.filter(username=name).exists():
        raise NameTaken(
            f"kargoweb already has another account named {name}. Ask an administrator to rename it."
        )
    user = User(username=name, email=email[:LONGEST_EMAIL])
    user.set_unusable_password()
    user.save()
    ProviderIdentity.objects.create(user=user, issuer=issuer, subject=subject)
    return user


def set_roles(user: User, roles: Collection[str]) -> None:
    """Make a user a member of the groups of these roles, and of no other role's."""
    current = set(user.groups.values_list("name", flat=True))
    outdated = [name for name in current - set(roles) if not access_from_groups([name]).is_empty]
    user.groups.remove(*Group.objects.filter(name__in=outdated))
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in sorted(set(roles) - current)))
