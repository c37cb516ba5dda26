"""The scope of a receiver: the Warehouses of one project, or with a cluster receiver those of every project."""

from __future__ import annotations

from typing import Final

CLUSTER_SCOPE: Final = ""
"""What stands for the cluster scope where code and database keep a project: no project has an empty name."""

CLUSTER_SCOPE_NAME: Final = "cluster"
"""How people and programs write the cluster scope: in addresses, the API, commands and pages."""

ReceiverKey = tuple[str, str]
"""Project (`CLUSTER_SCOPE` for a cluster receiver) and name of a receiver."""


def scope_name(project: str) -> str:
    """Return how a project, or the cluster scope, is written outside the code."""
    return CLUSTER_SCOPE_NAME if project == CLUSTER_SCOPE else project


def parse_scope(name: str) -> str:
    """Return the project that a name stands for: `CLUSTER_SCOPE` for `cluster`, else the name itself."""
    return CLUSTER_SCOPE if name == CLUSTER_SCOPE_NAME else name
