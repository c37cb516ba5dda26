"""Roles and users on the command line."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

from receivers.accounts.access import Action, access_of


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_the_groups_of_the_roles_are_there_from_the_start(database):
    assert Group.objects.filter(name__in=["viewer", "operator", "admin"]).count() == 3


def test_a_role_is_given_changed_and_taken_away(make_user):
    name = make_user()
    for role, may_fire in (("viewer", False), ("operator", True), ("none", False)):
        run("grant", name, role)
        assert access_of(User.objects.get(username=name)).may(Action.TEST_FIRE, "shop") == may_fire
    assert access_of(User.objects.get(username=name)).is_empty


def test_a_role_in_one_project_leaves_the_others_alone(make_user):
    name = make_user("viewer")
    run("grant", name, "operator", "--project", "shop")
    allowed = access_of(User.objects.get(username=name))
    assert allowed.may(Action.TEST_FIRE, "shop")
    assert not allowed.may(Action.TEST_FIRE, "other")
    assert allowed.may(Action.SEE, "other")
    assert f"{name}  viewer, operator in shop" in run("users")


@pytest.mark.parametrize("project", ["a:b", "x" * 200])
def test_what_cannot_be_a_project_is_refused(make_user, project):
    with pytest.raises(CommandError, match="isn't a valid project name"):
        run("grant", make_user(), "viewer", "--project", project)


def test_a_user_that_is_not_there_is_said_not_to_be(database):
    with pytest.raises(CommandError, match="No user 'nobody-at-all'"):
        run("grant", "nobody-at-all", "viewer")


def test_a_user_is_made_with_a_password_that_works(make_user):
    name = f"{make_user()}-2"
    printed, password = run("users", "--add", name).split()
    assert printed == name
    assert User.objects.get(username=name).check_password(password)
    with pytest.raises(CommandError, match="already"):
        run("users", "--add", name)
