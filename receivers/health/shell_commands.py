"""Shell commands that the remedies of findings offer to copy."""

from __future__ import annotations

from typing import Final

ACCOUNT: Final = "kargoweb"  # name and namespace of the service account of the chart


def describe_config(project: str) -> str:
    """Return the command that shows a ProjectConfig, or the ClusterConfig if `project` is empty."""
    return (
        f"kubectl describe projectconfig {project} -n {project}"
        if project
        else "kubectl describe clusterconfig cluster"
    )


def refresh_config(project: str) -> str:
    """Return the command that makes Kargo reconcile the receivers of a project, or of the cluster, immediately."""
    return f"kargo refresh projectconfig --project={project}" if project else "kargo refresh clusterconfig"


def edit_config(project: str) -> str:
    """Return the command that opens the receivers of a project, or of the cluster, in an editor."""
    return (
        f"kubectl edit projectconfig {project} -n {project}"
        if project
        else "kubectl edit clusterconfig cluster"
    )


def allow_secret(namespace: str, secret: str) -> str:
    """Return the commands that let kargoweb read one Secret: a Role that names it, and its binding."""
    role = f"kargoweb-{secret}"
    return (
        f"kubectl create role {role} -n {namespace} --verb=get --resource=secrets --resource-name={secret}\n"
        f"kubectl create rolebinding {role} -n {namespace} --role={role} --serviceaccount={ACCOUNT}:{ACCOUNT}"
    )


def edit_warehouse(project: str, name: str) -> str:
    """Return the command that opens a Warehouse in an editor."""
    return f"kubectl edit warehouse {name} -n {project}"


def describe_warehouse(project: str, name: str) -> str:
    """Return the command that shows a Warehouse and its conditions."""
    return f"kubectl describe warehouse {name} -n {project}"
