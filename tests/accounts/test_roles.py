"""Groups grant access by their names."""

from __future__ import annotations

import pytest

from receivers.accounts.roles import Access, Action, Role, access_from_groups, group_name

EVERYTHING = set(Action)
VIEWING = {Action.SEE}
OPERATING = EVERYTHING - {Action.READ_AUDIT_LOG, Action.READ_CONFIGURATION}

TABLE = [
    # groups, project, permitted actions
    ([], "shop", set()),
    (["viewer"], "shop", VIEWING),
    (["viewer"], "", VIEWING),
    (["viewer"], None, VIEWING),
    (["operator"], "shop", OPERATING),
    (["admin"], "shop", EVERYTHING),
    (["admin"], None, EVERYTHING),
    (["operator:shop"], "shop", OPERATING),
    (["operator:shop"], "other", set()),
    (["operator:shop"], "", set()),
    (["operator:shop"], None, set()),
    (["viewer", "operator:shop"], "shop", OPERATING),
    (["viewer", "operator:shop"], "other", VIEWING),
    (["operator", "viewer:shop"], "shop", OPERATING),
    (["viewer:shop", "admin:shop", "operator:shop"], "shop", EVERYTHING),
    (["viewer", "operator"], "shop", OPERATING),
    (["Admin"], "shop", set()),
    (["administrator", "admin-shop", "viewers"], "shop", set()),
    (["admin:"], "shop", set()),
    ([":shop"], "shop", set()),
    (["root:shop"], "shop", set()),
]


@pytest.mark.parametrize(("groups", "project", "actions"), TABLE)
def test_groups_grant_the_roles_in_their_names(
    groups: list[str], project: str | None, actions: set[Action]
) -> None:
    granted = access_from_groups(groups)
    assert {action for action in Action if granted.may(action, project)} == actions


@pytest.mark.parametrize("project", ["shop", "", None])
def test_a_superuser_may_do_everything_everywhere(project: str | None) -> None:
    assert all(access_from_groups([], superuser=True).may(action, project) for action in Action)


@pytest.mark.parametrize(
    ("groups", "projects"),
    [(["viewer"], None), (["viewer:a", "operator:b"], {"a", "b"}), (["else"], set())],
)
def test_projects_are_those_that_the_user_may_see(groups: list[str], projects: set[str] | None) -> None:
    assert access_from_groups(groups).projects == projects
    assert access_from_groups(groups).is_empty == (projects == set())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("project", ["", "shop"])
def test_a_group_name_grants_the_role_it_was_made_from(role: Role, project: str) -> None:
    expected = Access(None, {project: role}) if project else Access(role)
    assert access_from_groups([group_name(role, project)]) == expected


@pytest.mark.parametrize(
    ("groups", "sees", "redelivers"),
    [
        (["operator"], None, None),
        (["viewer"], None, frozenset()),
        (["viewer", "operator:shop"], None, frozenset({"shop"})),
        (["operator:shop", "viewer:other"], frozenset({"shop", "other"}), frozenset({"shop"})),
        ([], frozenset(), frozenset()),
    ],
)
def test_projects_with_lists_the_projects_that_permit_an_action(groups, sees, redelivers):
    granted = access_from_groups(groups)
    assert granted.projects_with(Action.SEE) == granted.projects == sees
    assert granted.projects_with(Action.REDELIVER) == redelivers
