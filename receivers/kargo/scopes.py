"""The scope of a receiver: the Warehouses of one project, or with a cluster receiver those of every project."""

from __future__ import annotations

from typing import Final

CLUSTER_SCOPE: Final = ""
"""The cluster scope as a project in code and database; no project has an empty name."""

CLUSTER_SCOPE_NAME: Final = "cluster"
"""The cluster scope in addresses, the API, commands and pages."""

ReceiverKey = tuple[str, str]
"""Project (`CLUSTER_SCOPE` for a cluster receiver) and name of a receiver."""


def scope_name(project: str) -> str:
    """Return the name of a project or of the cluster scope in addresses, the API, commands and pages."""
    return CLUSTER_SCOPE_NAME if project == CLUSTER_SCOPE else project


def parse_scope(name: str) -> str:
    """Return the project for such a name: `CLUSTER_SCOPE` for `cluster`, otherwise the name itself."""
    return CLUSTER_SCOPE if name == CLUSTER_SCOPE_NAME else name
