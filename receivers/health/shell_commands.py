"""Lines to paste into a shell, for the remedies of findings."""

from __future__ import annotations


def describe_config(project: str) -> str:
    """Return the line that shows a ProjectConfig, or the ClusterConfig if `project` is empty, with its conditions."""
    return (
        f"kubectl describe projectconfig {project} -n {project}"
        if project
        else "kubectl describe clusterconfig cluster"
    )


def refresh_config(project: str) -> str:
    """Return the line that has Kargo look at the receivers of a project, or of the cluster, at once."""
    return f"kargo refresh projectconfig --project={project}" if project else "kargo refresh clusterconfig"


def edit_config(project: str) -> str:
    """Return the line that opens the receivers of a project, or of the cluster, in an editor."""
    return (
        f"kubectl edit projectconfig {project} -n {project}"
        if project
        else "kubectl edit clusterconfig cluster"
    )


def edit_warehouse(project: str, name: str) -> str:
    """Return the line that opens a Warehouse in an editor."""
    return f"kubectl edit warehouse {name} -n {project}"


def describe_warehouse(project: str, name: str) -> str:
    """Return the line that shows a Warehouse with its conditions."""
    return f"kubectl describe warehouse {name} -n {project}"
