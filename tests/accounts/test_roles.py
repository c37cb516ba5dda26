"""Who may do what, by the names of groups."""

from __future__ import annotations

import pytest

from receivers.accounts.roles import Access, Action, Role, access, group_name

EVERYTHING = set(Action)
SEEING = {Action.SEE}
OPERATING = EVERYTHING - {Action.AUDIT, Action.CONFIGURE}

TABLE = [
    # groups, project asked about, what may be done there
    ([], "shop", set()),
    (["viewer"], "shop", SEEING),
    (["viewer"], "", SEEING),
    (["viewer"], None, SEEING),
    (["operator"], "shop", OPERATING),
    (["admin"], "shop", EVERYTHING),
    (["admin"], None, EVERYTHING),
    (["operator:shop"], "shop", OPERATING),
    (["operator:shop"], "other", set()),
    (["operator:shop"], "", set()),
    (["operator:shop"], None, set()),
    (["viewer", "operator:shop"], "shop", OPERATING),
    (["viewer", "operator:shop"], "other", SEEING),
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
def test_groups_allow_what_their_names_say(
    groups: list[str], project: str | None, actions: set[Action]
) -> None:
    allowed = access(groups)
    assert {action for action in Action if allowed.may(action, project)} == actions


@pytest.mark.parametrize("project", ["shop", "", None])
def test_a_superuser_may_do_everything_everywhere(project: str | None) -> None:
    assert all(access([], superuser=True).may(action, project) for action in Action)


@pytest.mark.parametrize(
    ("groups", "projects"),
    [(["viewer"], None), (["viewer:a", "operator:b"], {"a", "b"}), (["else"], set())],
)
def test_lists_are_filtered_by_what_may_be_seen(groups: list[str], projects: set[str] | None) -> None:
    assert access(groups).projects == projects
    assert access(groups).is_empty == (projects == set())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("project", ["", "shop"])
def test_the_name_of_a_group_gives_the_role_that_it_was_made_for(role: Role, project: str) -> None:
    expected = Access(None, {project: role}) if project else Access(role)
    assert access([group_name(role, project)]) == expected


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
def test_where_somebody_may_do_something(groups, sees, redelivers):
    allowed = access(groups)
    assert allowed.where(Action.SEE) == allowed.projects == sees
    assert allowed.where(Action.REDELIVER) == redelivers
