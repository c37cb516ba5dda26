"""The commands `grant` and `users`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

from receivers.accounts.access import Action, access_of
from tests.users import create_user


def run(*arguments: str) -> str:
    """Run a command; return its output."""
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_migrations_create_the_groups_of_the_roles(database):
    assert Group.objects.filter(name__in=["viewer", "operator", "admin"]).count() == 3


def test_grant_assigns_changes_and_removes_a_role(database):
    name = create_user().username
    for role, may_test in (("viewer", False), ("operator", True), ("none", False)):
        run("grant", name, role)
        assert access_of(User.objects.get(username=name)).may(Action.TEST_FIRE, "shop") == may_test
    assert access_of(User.objects.get(username=name)).is_empty


def test_a_role_in_one_project_does_not_apply_to_others(database):
    name = create_user("viewer").username
    run("grant", name, "operator", "--project", "shop")
    allowed = access_of(User.objects.get(username=name))
    assert allowed.may(Action.TEST_FIRE, "shop")
    assert not allowed.may(Action.TEST_FIRE, "other")
    assert allowed.may(Action.SEE, "other")
    assert f"{name}  viewer, operator in shop" in run("users")


@pytest.mark.parametrize("project", ["a:b", "x" * 200])
def test_an_invalid_project_name_is_rejected(database, project):
    with pytest.raises(CommandError, match="isn't a valid project name"):
        run("grant", create_user().username, "viewer", "--project", project)


def test_an_unknown_user_is_reported(database):
    with pytest.raises(CommandError, match="No user 'nobody-at-all'"):
        run("grant", "nobody-at-all", "viewer")


def test_users_add_creates_a_user_with_a_valid_password(database):
    name = f"{create_user().username}-2"
    printed, password = run("users", "--add", name).split()
    assert printed == name
    assert User.objects.get(username=name).check_password(password)
    with pytest.raises(CommandError, match="already"):
        run("users", "--add", name)
