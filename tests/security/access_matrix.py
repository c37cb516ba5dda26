"""The tables of the access matrix: who calls, and what each address responds to whom.

`PAGES` and `API` have a row for every address of the URLconf, by its name. `Rule` says what the row expects of a
caller's standing: the highest role in the project of the object, in all projects, or in any project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

NONE, VIEWER, OPERATOR, ADMIN = range(4)  # ranks


@dataclass(frozen=True)
class Standing:
    """The ranks that a caller was given: in the project of the matrix, in another one, and in all."""

    own: int = NONE
    another: int = NONE
    everywhere: int = NONE
    anonymous: bool = False
    superuser: bool = False

    @property
    def in_project(self) -> int:
        """Return the rank that counts in the project of the matrix."""
        return max(self.own, self.everywhere)

    @property
    def anywhere(self) -> int:
        """Return the highest rank."""
        return max(self.own, self.another, self.everywhere)

    def limited(self, highest: int, project: str = "") -> Standing:
        """Return the standing of a token: at most `highest`, in all of the owner's projects, or `own` or `another`."""
        if project == "own":
            return Standing(own=min(self.in_project, highest))
        if project == "another":
            return Standing(another=min(max(self.another, self.everywhere), highest))
        return Standing(min(self.own, highest), min(self.another, highest), min(self.everywhere, highest))


ANONYMOUS: Final = Standing(anonymous=True)

ROLES: Final[Mapping[str, Standing]] = {
    "no role": Standing(),
    "viewer of another": Standing(another=VIEWER),
    "operator of another": Standing(another=OPERATOR),
    "admin of another": Standing(another=ADMIN),
    "viewer": Standing(own=VIEWER),
    "operator": Standing(own=OPERATOR),
    "admin of the project": Standing(own=ADMIN),
    "viewer, operator of another": Standing(own=VIEWER, another=OPERATOR),
    "viewer everywhere": Standing(everywhere=VIEWER),
    "viewer everywhere, operator": Standing(own=OPERATOR, everywhere=VIEWER),
    "operator everywhere": Standing(everywhere=OPERATOR),
    "admin": Standing(everywhere=ADMIN),
}
"""Every role that a user can have. `GROUPS` grants them, and `RBAC` those that Kubernetes can grant."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "no role": (),
    "viewer of another": ("viewer:{another}",),
    "operator of another": ("operator:{another}",),
    "admin of another": ("admin:{another}",),
    "viewer": ("viewer:{own}",),
    "operator": ("operator:{own}",),
    "admin of the project": ("admin:{own}",),
    "viewer, operator of another": ("viewer:{own}", "operator:{another}"),
    "viewer everywhere": ("viewer",),
    "viewer everywhere, operator": ("viewer", "operator:{own}"),
    "operator everywhere": ("operator",),
    "admin": ("admin",),
}
"""The groups that grant each role."""

RBAC: Final[Mapping[str, tuple[str, ...]]] = {
    "no role": (),
    "viewer of another": ("get in {another}",),
    "operator of another": ("get in {another}", "patch in {another}"),
    "viewer": ("get in {own}",),
    "operator": ("get in {own}", "patch in {own}"),
    "viewer, operator of another": ("get in {own}", "get in {another}", "patch in {another}"),
    "viewer everywhere": ("get in *",),
    "viewer everywhere, operator": ("get in *", "patch in {own}"),
    "operator everywhere": ("get in *", "patch in *"),
    "admin": (),
}
"""What Kubernetes allows on Warehouses for each role that it can grant. An admin is one by a group."""


class Where(StrEnum):
    """Which role a row asks for."""

    PROJECT = "in the project"
    EVERYWHERE = "in all projects"
    ANYWHERE = "in any project"


@dataclass(frozen=True)
class Rule:
    """What an address responds: to callers with the role `needs`, and to all others.

    `hidden` is for those who may not see the object, `forbidden` for those who may, but not do this. `form` is the body
    of a POST: mostly empty, since an invalid form is only reported to those who may send one. `json`: send it as JSON.
    `audited`: the audit log
    gets an entry.
    """

    needs: int = VIEWER
    where: Where = Where.ANYWHERE
    allowed: int = 200
    hidden: int = 404
    forbidden: int = 403
    no_role: int = 403
    anonymous: int = 302
    form: Mapping[str, Any] = field(default_factory=dict)
    json: bool = False
    audited: bool = False
    special: Callable[[Standing], int | None] = lambda _: None

    def permits(self, standing: Standing) -> bool:
        """Return whether a caller may do what the address is for."""
        return not standing.anonymous and self.expected(standing) == self.allowed

    def expected(self, standing: Standing) -> int:
        """Return the status for a caller."""
        special = self.special(standing)
        if special is not None:
            return special
        if standing.anonymous:
            return self.anonymous
        if standing.anywhere == NONE:
            return self.no_role
        rank = {
            Where.PROJECT: standing.in_project,
            Where.EVERYWHERE: standing.everywhere,
            Where.ANYWHERE: standing.anywhere,
        }[self.where]
        if rank >= self.needs:
            return self.allowed
        return self.hidden if rank < VIEWER else self.forbidden


def own(needs: int, **changes: Any) -> Rule:
    """Return the rule of an address in the project."""
    return Rule(needs, Where.PROJECT, **changes)


def everywhere(needs: int, **changes: Any) -> Rule:
    """Return the rule of an address that concerns all projects."""
    return Rule(needs, Where.EVERYWHERE, **changes)


def everyone(status: int, **changes: Any) -> Rule:
    """Return the rule of an address that responds to everyone alike."""
    return Rule(special=lambda _: status, **changes)


def channel(allowed: int, *, audited: bool = False) -> Rule:
    """Return the rule of an alert channel of the project, which exists only for those who may manage it."""
    return Rule(
        OPERATOR,
        Where.PROJECT,
        allowed,
        audited=audited,
        # Those who can manage no channel at all know that from the list.
        special=lambda standing: (
            None
            if standing.anywhere == NONE or standing.in_project >= OPERATOR
            else (404 if standing.anywhere >= OPERATOR else 403)
        ),
    )


ANY: Final = Rule()
GUEST: Final = Rule(allowed=302, no_role=302, anonymous=200)
NOT_ALLOWED: Final = Rule(allowed=405)
"""Methods that a page doesn't have."""

Row = Mapping[str, Rule]

PAGES: Final[Mapping[str, Row]] = {
    # Machines
    "webhook": {"GET": everyone(405), "POST": everyone(404)},
    "health": {"GET": everyone(200), "POST": everyone(405)},
    "readiness": {"GET": everyone(503), "POST": everyone(405)},
    "metrics": {"GET": everyone(404), "POST": everyone(405)},
    # Lists, which have what their reader may see
    "home": {"GET": ANY, "POST": NOT_ALLOWED},
    "search": {"GET": ANY, "POST": NOT_ALLOWED},
    "projects": {"GET": ANY, "POST": NOT_ALLOWED},
    "pushes": {"GET": ANY, "POST": NOT_ALLOWED},
    "deliveries": {"GET": ANY, "POST": NOT_ALLOWED},
    "deliveries-csv": {"GET": ANY, "POST": NOT_ALLOWED},
    "deliveries-json": {"GET": ANY, "POST": NOT_ALLOWED},
    "attention": {"GET": ANY, "POST": replace(ANY, allowed=302, form={"note": ""})},
    # Projects and receivers
    "project": {"GET": own(VIEWER), "POST": NOT_ALLOWED},
    "receiver": {"GET": own(VIEWER, allowed=302), "POST": own(OPERATOR, audited=True)},
    "test": {"GET": own(OPERATOR), "POST": own(OPERATOR)},
    "registration": {"GET": own(VIEWER), "POST": NOT_ALLOWED},
    "new-receiver": {"GET": Rule(OPERATOR), "POST": Rule(OPERATOR)},
    "cluster": {"GET": everywhere(VIEWER), "POST": NOT_ALLOWED},
    "cluster-receiver": {"GET": everywhere(VIEWER, allowed=302), "POST": everywhere(OPERATOR, audited=True)},
    "cluster-test": {"GET": everywhere(OPERATOR), "POST": everywhere(OPERATOR)},
    "cluster-registration": {"GET": everywhere(VIEWER), "POST": NOT_ALLOWED},
    "finding": {"GET": own(VIEWER), "POST": own(OPERATOR, allowed=302, form={"note": ""}, audited=True)},
    "status": {"GET": everywhere(VIEWER), "POST": NOT_ALLOWED},
    # Pushes and deliveries
    "push": {"GET": own(VIEWER), "POST": NOT_ALLOWED},
    "push-by-name": {"GET": own(VIEWER, allowed=302), "POST": NOT_ALLOWED},
    "delivery": {"GET": own(VIEWER), "POST": NOT_ALLOWED},
    "redeliver": {"GET": NOT_ALLOWED, "POST": own(OPERATOR, allowed=302, audited=True)},
    "redeliver-many": {"GET": Rule(OPERATOR), "POST": Rule(OPERATOR)},
    "redelivered": {"GET": Rule(allowed=404), "POST": NOT_ALLOWED},
    # What belongs to a user: here it is another's
    "save-view": {"GET": NOT_ALLOWED, "POST": Rule(allowed=302)},
    "remove-view": {"GET": NOT_ALLOWED, "POST": Rule(allowed=302)},
    "api-tokens": {"GET": ANY, "POST": Rule(allowed=400, form={"name": ""})},
    "revoke-token": {"GET": NOT_ALLOWED, "POST": Rule(allowed=404)},
    # Alerts
    "alerts": {"GET": Rule(OPERATOR), "POST": NOT_ALLOWED},
    "new-alert-channel": {"GET": Rule(OPERATOR), "POST": Rule(OPERATOR)},
    "alert-channel": {"GET": channel(200), "POST": channel(200)},
    "test-alert-channel": {"GET": NOT_ALLOWED, "POST": channel(302, audited=True)},
    "switch-alert-channel": {"GET": NOT_ALLOWED, "POST": channel(302, audited=True)},
    "delete-alert-channel": {"GET": NOT_ALLOWED, "POST": channel(302, audited=True)},
    # Administration
    "audit": {"GET": everywhere(ADMIN), "POST": NOT_ALLOWED},
    # Accounts
    "sign-in": {"GET": GUEST, "POST": GUEST},
    "provider-begin": {"GET": everyone(503), "POST": everyone(405)},
    "provider-callback": {"GET": everyone(403), "POST": everyone(405)},
    "sign-out": {"GET": everyone(405), "POST": everyone(302)},
    "password": {"GET": Rule(no_role=200), "POST": Rule(no_role=200)},
    "theme": {"GET": everyone(405), "POST": everyone(302)},
    "api-reference": {"GET": ANY, "POST": NOT_ALLOWED},
}

OF_API: Final[Mapping[str, Any]] = {"anonymous": 401}
NO_METHOD: Final = Rule(allowed=405, **OF_API)

SEE: Final = Rule(**OF_API)
SEE_OWN: Final = own(VIEWER, **OF_API)
INVALID: Final = 400
"""What an empty body gets; permissions are checked first."""

NOT_ON_OWN: Final = own(VIEWER, allowed=405, **OF_API)
NOT_FOR_OPERATORS: Final = own(OPERATOR, allowed=405, **OF_API)
"""Methods that addresses below a project don't have: the project is looked for first."""

API: Final[Mapping[str, Row]] = {
    "api-projects": {"GET": SEE, "POST": NO_METHOD},
    "api-project": {"GET": SEE_OWN, "POST": NOT_ON_OWN},
    "api-receivers": {"GET": SEE_OWN, "POST": NOT_ON_OWN},
    "api-reveal-url": {"GET": NOT_FOR_OPERATORS, "POST": own(OPERATOR, audited=True, **OF_API)},
    "api-test-push": {"GET": NOT_FOR_OPERATORS, "POST": own(OPERATOR, allowed=INVALID, **OF_API)},
    "api-warehouses": {"GET": SEE_OWN, "POST": NOT_ON_OWN},
    "api-pushes": {"GET": SEE, "POST": NO_METHOD},
    "api-wait": {"GET": SEE, "POST": NO_METHOD},
    "api-push": {"GET": SEE_OWN, "POST": NO_METHOD},
    # Their project is in the body, so that is read first. tests/api/ has the rest.
    "api-refresh": {"GET": NO_METHOD, "POST": Rule(allowed=INVALID, **OF_API)},
    "api-redeliver-many": {"GET": NO_METHOD, "POST": Rule(allowed=INVALID, **OF_API)},
    "api-findings": {"GET": SEE, "POST": NO_METHOD},
    "api-finding": {"GET": SEE_OWN, "POST": NO_METHOD},
    "api-mute": {
        "GET": NO_METHOD,
        "POST": NO_METHOD,
        "PUT": own(OPERATOR, audited=True, **OF_API),
        "DELETE": own(OPERATOR, allowed=204, audited=True, **OF_API),
    },
    "api-statistics": {"GET": SEE, "POST": NO_METHOD},
    "api-audit": {"GET": everywhere(ADMIN, **OF_API), "POST": NO_METHOD},
    "api-access": {"GET": SEE, "POST": NO_METHOD},
    "api-schema": {"GET": SEE, "POST": NO_METHOD},
    "api-deliveries": {"GET": Rule(**OF_API), "POST": NO_METHOD},
    "api-delivery": {"GET": own(VIEWER, **OF_API), "POST": NO_METHOD},
    "api-redeliver": {"GET": NO_METHOD, "POST": own(OPERATOR, allowed=201, audited=True, **OF_API)},
    "api-explain": {"GET": own(VIEWER, **OF_API), "POST": NO_METHOD},
    "api-nothing": {"GET": Rule(allowed=404, **OF_API), "POST": Rule(allowed=404, **OF_API)},
}
"""The addresses under `/api/`: a row for each, as above. `OF_API` is what they have in common."""

WITHOUT_CSRF: Final = frozenset({"webhook", "health", "readiness", "metrics"})
"""Addresses whose POST needs no CSRF token: machines have no session."""
