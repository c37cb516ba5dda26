"""Who may do what: roles, what each is for, and how groups name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What people are. They come in this order: each may do all that those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Action(StrEnum):
    """What people do. The words are those of the audit list."""

    SEE = "see"
    """Look at everything but receiver URLs, which are credentials."""

    REVEAL = "reveal URL"
    FIRE = "fire test"
    REDELIVER = "redeliver"
    MUTE = "mute"
    AUDIT = "read the audit list"
    CONFIGURE = "read the configuration"


NEEDED: Final[Mapping[Action, Role]] = MappingProxyType(
    {
        Action.SEE: Role.VIEWER,
        Action.REVEAL: Role.OPERATOR,
        Action.FIRE: Role.OPERATOR,
        Action.REDELIVER: Role.OPERATOR,
        Action.MUTE: Role.OPERATOR,
        Action.AUDIT: Role.ADMIN,
        Action.CONFIGURE: Role.ADMIN,
    }
)
SEPARATOR: Final = ":"  # no name of a project can hold one
_RANKS: Final = {role: rank for rank, role in enumerate(Role, start=1)}


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do. `everywhere` includes the cluster receivers, whose project is empty."""

    everywhere: Role | None = None
    by_project: Mapping[str, Role] = field(default_factory=dict)

    def may(self, action: Action, project: str | None = None) -> bool:
        """Say whether the action is allowed in a project ("" for the cluster), or (None) everywhere."""
        return any(_RANKS[role] >= _RANKS[NEEDED[action]] for role in self._roles(project))

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing at all that may be done."""
        return self.everywhere is None and not self.by_project

    @property
    def projects(self) -> frozenset[str] | None:
        """Return the names of the projects that may be seen; None stands for all, and for the cluster receivers."""
        return self.where(Action.SEE)

    def where(self, action: Action) -> frozenset[str] | None:
        """Return the names of the projects in which an action is allowed; None stands for all, and for the cluster."""
        if self.everywhere and _RANKS[self.everywhere] >= _RANKS[NEEDED[action]]:
            return None
        return frozenset(name for name in self.by_project if self.may(action, name))

    def _roles(self, project: str | None) -> Iterable[Role]:
        if self.everywhere:
            yield self.everywhere
        if project and project in self.by_project:
            yield self.by_project[project]


def access(groups: Iterable[str], *, superuser: bool = False) -> Access:
    """Return what membership in groups of these names allows.

    `operator` gives the role everywhere, `operator:storefront` in that project only; other groups give nothing. Of
    several roles the one that may do most counts.
    """
    everywhere: Role | None = Role.ADMIN if superuser else None
    by_project: dict[str, Role] = {}
    for name in groups:
        word, separator, project = name.partition(SEPARATOR)
        if word not in _RANKS or bool(separator) != bool(project):
            continue
        role = Role(word)
        if project:
            by_project[project] = _higher(by_project.get(project), role)
        else:
            everywhere = _higher(everywhere, role)
    return Access(everywhere, by_project)


def group_name(role: Role, project: str = "") -> str:
    """Return the name of the group that gives a role in a project, or everywhere."""
    return f"{role}{SEPARATOR}{project}" if project else role.value


def _higher(one: Role | None, other: Role) -> Role:
    return other if one is None or _RANKS[other] > _RANKS[one] else one
