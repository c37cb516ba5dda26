"""Users who sign in elsewhere: with an OpenID Connect provider, or at a proxy in front of kargoweb."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User

from receivers.accounts.roles import access_from_groups
from receivers.models import ProviderIdentity

PROXY: Final = "proxy"
"""The issuer of the identities of a proxy's users."""

LONGEST_NAME: Final = 150  # characters of a Django user name
LONGEST_EMAIL: Final = 254


class NoName(Exception):
    """A new user has no usable name."""


class NameTaken(Exception):
    """Another account has the name of a new user; the text says so, for the user."""


def external_user(
    issuer: str, subject: str, name: str, groups: Iterable[str] = (), *, email: str = ""
) -> User:
    """Return the user that `issuer` calls `subject`; create it under `name` at the first sign-in.

    Stores the name and the groups as those of the last sign-in. Raises `NoName` or `NameTaken` if the user can't be
    created.
    """
    identities = ProviderIdentity.objects.filter(issuer=issuer, subject=subject)
    claimed = {
        "name": name if _is_storable(name) else "",
        "groups": sorted(set(filter(_is_storable, groups))),
    }
    if known := identities.select_related("user").first():
        if (known.name, known.groups) != (claimed["name"], claimed["groups"]):
            identities.update(**claimed)
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
    ProviderIdentity.objects.create(user=user, issuer=issuer, subject=subject, **claimed)
    return user


def set_roles(user: User, roles: Collection[str]) -> None:
    """Make a user a member of the groups of these roles, and of no other role's."""
    current = set(user.groups.values_list("name", flat=True))
    outdated = [name for name in current - set(roles) if not access_from_groups([name]).is_empty]
    user.groups.remove(*Group.objects.filter(name__in=outdated))
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in sorted(set(roles) - current)))


def _is_storable(text: str) -> bool:
    """Return whether a database can store a text. One with replaced characters would be another name."""
    return "\0" not in text and text.isprintable()
