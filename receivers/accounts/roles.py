"""Roles, the actions they permit, and the names of the groups that grant them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """Roles in ascending order; each includes the permissions of the previous ones."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Action(StrEnum):
    """What a role can permit. The audit log uses the same codes (`AuditAction`)."""

    SEE = "see"
    """View everything except receiver URLs, which are credentials."""

    REVEAL_URL = "reveal_url"
    TEST_FIRE = "test_fire"
    REDELIVER = "redeliver"
    REFRESH = "refresh"
    """Refresh Warehouses without a push."""

    MUTE = "mute"
    CREATE_RECEIVER = "create_receiver"
    """Create a receiver with kargoweb's own permissions in the cluster."""

    MANAGE_ALERTS = "manage_alerts"
    """Manage the alert channels of a project."""

    MANAGE_ALL_ALERTS = "manage_all_alerts"
    """Manage the alert channels of all projects and of kargoweb itself."""

    READ_AUDIT_LOG = "read_audit_log"
    READ_CONFIGURATION = "read_configuration"


REQUIRED_ROLES: Final[Mapping[Action, Role]] = MappingProxyType(
    {
        Action.SEE: Role.VIEWER,
        Action.REVEAL_URL: Role.OPERATOR,
        Action.TEST_FIRE: Role.OPERATOR,
        Action.REDELIVER: Role.OPERATOR,
        Action.REFRESH: Role.OPERATOR,
        Action.MUTE: Role.OPERATOR,
        Action.CREATE_RECEIVER: Role.ADMIN,
        Action.MANAGE_ALERTS: Role.OPERATOR,
        Action.MANAGE_ALL_ALERTS: Role.ADMIN,
        Action.READ_AUDIT_LOG: Role.ADMIN,
        Action.READ_CONFIGURATION: Role.ADMIN,
    }
)
SEPARATOR: Final = ":"  # not allowed in the name of a Kubernetes namespace
_RANKS: Final = {role: rank for rank, role in enumerate(Role, start=1)}


@dataclass(frozen=True, slots=True)
class Access:
    """The roles of a user. `everywhere` includes the cluster receivers, whose project is empty.

    `problem` says why roles that Kubernetes may grant are missing at the moment, for the user.
    """

    everywhere: Role | None = None
    by_project: Mapping[str, Role] = field(default_factory=dict)
    problem: str = ""

    def may(self, action: Action, project: str | None = None) -> bool:
        """Return whether `action` is permitted in a project ("" for the cluster) or, with None, everywhere."""
        return any(_RANKS[role] >= _RANKS[REQUIRED_ROLES[action]] for role in self._roles(project))

    @property
    def is_empty(self) -> bool:
        """Return whether the user has no role at all."""
        return self.everywhere is None and not self.by_project

    @property
    def projects(self) -> frozenset[str] | None:
        """Return the projects that the user may see; None means all projects and the cluster receivers."""
        return self.projects_with(Action.SEE)

    def projects_with(self, action: Action) -> frozenset[str] | None:
        """Return the projects in which `action` is permitted; None means all projects and the cluster receivers."""
        if self.everywhere and _RANKS[self.everywhere] >= _RANKS[REQUIRED_ROLES[action]]:
            return None
        return frozenset(name for name in self.by_project if self.may(action, name))

    def limited(self, highest: Role, project: str = "") -> Access:
        """Return the access with no role above `highest`, and with a `project`, in that one only."""
        if project:
            role = self._highest(project)
            return Access(None, {project: _lower(role, highest)} if role else {}, self.problem)
        everywhere = _lower(self.everywhere, highest) if self.everywhere else None
        by_project = {name: _lower(role, highest) for name, role in self.by_project.items()}
        return Access(everywhere, by_project, self.problem)

    def joined(self, other: Access) -> Access:
        """Return the access that has the roles of both."""
        everywhere = _higher(self.everywhere, other.everywhere) if other.everywhere else self.everywhere
        by_project = dict(self.by_project)
        for name, role in other.by_project.items():
            by_project[name] = _higher(by_project.get(name), role)
        return Access(everywhere, by_project, self.problem or other.problem)

    def _highest(self, project: str) -> Role | None:
        return max(self._roles(project), key=_RANKS.__getitem__, default=None)

    def _roles(self, project: str | None) -> Iterable[Role]:
        if self.everywhere:
            yield self.everywhere
        if project and project in self.by_project:
            yield self.by_project[project]


def access_from_groups(groups: Iterable[str], *, superuser: bool = False) -> Access:
    """Return the access that membership in these groups grants.

    `operator` grants the role everywhere, `operator:storefront` in that project only. Other groups grant nothing.
    The highest of several roles applies.
    """
    everywhere: Role | None = Role.ADMIN if superuser else None
    by_project: dict[str, Role] = {}
    for name in groups:
        role_name, separator, project = name.partition(SEPARATOR)
        if role_name not in _RANKS or bool(separator) != bool(project):
            continue
        role = Role(role_name)
        if project:
            by_project[project] = _higher(by_project.get(project), role)
        else:
            everywhere = _higher(everywhere, role)
    return Access(everywhere, by_project)


def group_name(role: Role, project: str = "") -> str:
    """Return the name of the group that grants a role in a project, or everywhere if `project` is empty."""
    return f"{role}{SEPARATOR}{project}" if project else role.value


def _higher(current: Role | None, role: Role) -> Role:
    return role if current is None or _RANKS[role] > _RANKS[current] else current


def _lower(role: Role, highest: Role) -> Role:
    return role if _RANKS[role] < _RANKS[highest] else highest
