"""The commands `grant` and `users`."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User

from receivers.accounts.access import Action, access_of
from receivers.accounts.roles import Access
from tests.commands.running import run
from tests.users import create_user


def access(username: str) -> Access:
    """Return the access of a user as stored now."""
    return access_of(User.objects.get(username=username))


def test_migrations_create_the_groups_of_the_roles(database):
    assert Group.objects.filter(name__in=["viewer", "operator", "admin"]).count() == 3


def test_grant_assigns_changes_and_removes_a_role(database):
    name = create_user().username
    for role, can_test in (("viewer", False), ("operator", True), ("none", False)):
        assert run("grant", name, role).code == 0
        assert access(name).may(Action.TEST_FIRE, "shop") == can_test
    assert access(name).is_empty


def test_a_role_in_one_project_does_not_apply_to_others(database):
    name = create_user("viewer").username
    assert run("grant", name, "operator", "--project", "shop").code == 0
    assert access(name).may(Action.TEST_FIRE, "shop")
    assert not access(name).may(Action.TEST_FIRE, "other")
    assert access(name).may(Action.SEE, "other")
    assert f"{name}  viewer, operator in shop" in run("users").out


@pytest.mark.parametrize("project", ["a:b", "x" * 200])
def test_an_invalid_project_name_is_rejected(database, project):
    result = run("grant", create_user().username, "viewer", "--project", project)
    assert result.code != 0
    assert "isn't a valid project name" in result.err


def test_an_unknown_user_is_reported(database):
    result = run("grant", "unknown-user", "viewer")
    assert result.code != 0
    assert "No user 'unknown-user'" in result.err


def test_users_add_creates_a_user_with_a_valid_password(database):
    name = f"{create_user().username}-2"
    printed_name, password = run("users", "--add", name).out.split()
    assert printed_name == name
    assert User.objects.get(username=name).check_password(password)
    repeated = run("users", "--add", name)
    assert repeated.code != 0
    assert "already" in repeated.err
