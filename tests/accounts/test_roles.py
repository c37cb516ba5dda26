"""Roles granted by the names of groups."""

from __future__ import annotations

import pytest

from receivers.accounts.roles import Access, Action, Role, access_from_groups, group_name

ALL_ACTIONS = set(Action)
VIEWER_ACTIONS = {Action.SEE}
OPERATOR_ACTIONS = ALL_ACTIONS - {
    Action.CREATE_RECEIVER,
    Action.MANAGE_ALL_ALERTS,
    Action.READ_AUDIT_LOG,
    Action.READ_CONFIGURATION,
}

CASES = [
    # groups, project, permitted actions
    ([], "shop", set()),
    (["viewer"], "shop", VIEWER_ACTIONS),
    (["viewer"], "", VIEWER_ACTIONS),
    (["viewer"], None, VIEWER_ACTIONS),
    (["operator"], "shop", OPERATOR_ACTIONS),
    (["admin"], "shop", ALL_ACTIONS),
    (["admin"], None, ALL_ACTIONS),
    (["operator:shop"], "shop", OPERATOR_ACTIONS),
    (["operator:shop"], "other", set()),
    (["operator:shop"], "", set()),
    (["operator:shop"], None, set()),
    (["viewer", "operator:shop"], "shop", OPERATOR_ACTIONS),
    (["viewer", "operator:shop"], "other", VIEWER_ACTIONS),
    (["operator", "viewer:shop"], "shop", OPERATOR_ACTIONS),
    (["viewer:shop", "admin:shop", "operator:shop"], "shop", ALL_ACTIONS),
    (["viewer", "operator"], "shop", OPERATOR_ACTIONS),
    (["Admin"], "shop", set()),
    (["administrator", "admin-shop", "viewers"], "shop", set()),
    (["admin:"], "shop", set()),
    ([":shop"], "shop", set()),
    (["root:shop"], "shop", set()),
]


@pytest.mark.parametrize(("groups", "project", "actions"), CASES)
def test_a_group_grants_the_role_in_its_name(
    groups: list[str], project: str | None, actions: set[Action]
) -> None:
    access = access_from_groups(groups)
    assert {action for action in Action if access.may(action, project)} == actions


@pytest.mark.parametrize("project", ["shop", "", None])
def test_a_superuser_has_every_permission_everywhere(project: str | None) -> None:
    assert all(access_from_groups([], superuser=True).may(action, project) for action in Action)


@pytest.mark.parametrize(
    ("groups", "projects"),
    [(["viewer"], None), (["viewer:a", "operator:b"], {"a", "b"}), (["unrelated"], set())],
)
def test_projects_are_those_the_user_can_see(groups: list[str], projects: set[str] | None) -> None:
    assert access_from_groups(groups).projects == projects
    assert access_from_groups(groups).is_empty == (projects == set())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("project", ["", "shop"])
def test_a_group_name_grants_the_role_it_was_made_from(role: Role, project: str) -> None:
    expected = Access(None, {project: role}) if project else Access(role)
    assert access_from_groups([group_name(role, project)]) == expected


@pytest.mark.parametrize(
    ("groups", "visible", "redeliverable"),
    [
        (["operator"], None, None),
        (["viewer"], None, frozenset()),
        (["viewer", "operator:shop"], None, frozenset({"shop"})),
        (["operator:shop", "viewer:other"], frozenset({"shop", "other"}), frozenset({"shop"})),
        ([], frozenset(), frozenset()),
    ],
)
def test_projects_with_returns_the_projects_where_an_action_is_permitted(groups, visible, redeliverable):
    access = access_from_groups(groups)
    assert access.projects_with(Action.SEE) == access.projects == visible
    assert access.projects_with(Action.REDELIVER) == redeliverable
