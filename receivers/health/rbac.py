"""The permissions that kargoweb's service account requires, and the RBAC manifest that grants missing ones.

They match the roles of the Helm chart (`deploy/chart/files/rbac`); a test compares them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from receivers.health.shell_commands import ACCOUNT
from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    DEPLOYMENTS,
    EVENTS,
    FREIGHTS,
    LEASES,
    PROJECT_CONFIGS,
    PROJECTS,
    SECRETS,
    SUBJECT_ACCESS_REVIEWS,
    WAREHOUSES,
    Resource,
)
from receivers.kargo.stages import PROMOTIONS, STAGES

READ: Final = ("get", "list", "watch")
CREATE: Final = ("create",)
CHANGE: Final = ("create", "patch")
STATUS: Final = "status"


@dataclass(frozen=True, slots=True)
class RequiredPermission:
    """A verb on a resource type (or its subresource) in one namespace, or (empty) in all of them.

    `optional` says what doesn't work without the permission; it is empty if kargoweb doesn't work at all without it.
    """

    verb: str
    resource: Resource
    namespace: str
    subresource: str = ""
    optional: str = ""

    @property
    def resource_name(self) -> str:
        """Return the resource as RBAC spells it: `projectconfigs/status`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def required_permissions(
    *,
    manages: bool,
    namespaces: Sequence[str],
    system_namespace: str,
    kargo_namespace: str,
    follows_stages: bool = False,
    creates_receivers: bool = False,
    records_events: bool = False,
    reviews_access: bool = False,
) -> tuple[RequiredPermission, ...]:
    """Return the required permissions: cluster-wide, or limited to `namespaces` if that isn't empty.

    `manages`: kargoweb manages receivers, see `receivers.controller`. `follows_stages`: it shows Stages.
    `creates_receivers`: admins create receivers in its pages, see `controller.receiver_setup`. `records_events`: it
    reports failed pushes as Events of their Warehouses. `reviews_access`: users have the access that Kubernetes grants
    them.
    """
    permissions = _of_cluster(manages, namespaced=bool(namespaces))
    if not namespaces:
        permissions += _read(PROJECTS)
    for namespace in namespaces or ("",):
        permissions += _of_projects(manages, namespace)
    if follows_stages:
        for namespace in namespaces or ("",):
            permissions += _read(STAGES, namespace, _NO_STAGES) + _read(PROMOTIONS, namespace, _NO_PROMOTIONS)
    if records_events:
        permissions += [
            RequiredPermission(verb, EVENTS, namespace, optional=_NO_EVENTS)
            for namespace in namespaces or ("",)
            for verb in CHANGE
        ]
    if creates_receivers:
        permissions += _to_create_receivers(namespaces, system_namespace)
    if manages and namespaces:
        permissions.append(
            RequiredPermission("get", SECRETS, system_namespace, optional=_NO_CLUSTER_RECEIVERS)
        )
    if reviews_access:
        permissions.append(RequiredPermission("create", SUBJECT_ACCESS_REVIEWS, "", optional=_NO_ACCESS))
    permissions += [
        RequiredPermission("list", LEASES, kargo_namespace, optional=_NO_HEARTBEATS),
        RequiredPermission("list", DEPLOYMENTS, kargo_namespace, optional=_NO_EXACT_VERSION),
    ]
    return tuple(permissions)


def _to_create_receivers(namespaces: Sequence[str], system_namespace: str) -> list[RequiredPermission]:
    permissions = [
        RequiredPermission(verb, resource, namespace, optional=_NO_NEW_RECEIVERS)
        for namespace in namespaces or ("",)
        for resource, verbs in ((PROJECT_CONFIGS, CHANGE), (SECRETS, CREATE))
        for verb in verbs
    ]
    permissions += [
        RequiredPermission(verb, CLUSTER_CONFIGS, "", optional=_NO_NEW_RECEIVERS) for verb in CHANGE
    ]
    if namespaces:
        permissions.append(
            RequiredPermission("create", SECRETS, system_namespace, optional=_NO_NEW_RECEIVERS)
        )
    return permissions


_NO_EVENTS: Final = "without it, Warehouses have no Events about failed pushes"
_NO_ACCESS: Final = "without it, users who sign in with the provider or at the proxy see nothing"
_NO_NEW_RECEIVERS: Final = "without it, pages show what to apply, but can't create receivers"
_NO_CLUSTER_RECEIVERS: Final = "without it, cluster receivers don't work"
_NO_EXACT_VERSION: Final = "without it, kargoweb knows only the range of Kargo's version"
_NO_PROMOTIONS: Final = "without it, pages don't show the steps of running Promotions, nor older failures"
_NO_STAGES: Final = "without it, pages don't show in which Stages Freight is"
_NO_HEARTBEATS: Final = "without it, kargoweb can't detect a shard without a controller"


def _read(resource: Resource, namespace: str = "", optional: str = "") -> list[RequiredPermission]:
    return [RequiredPermission(verb, resource, namespace, optional=optional) for verb in READ]


def _of_cluster(manages: bool, *, namespaced: bool) -> list[RequiredPermission]:
    optional = _NO_CLUSTER_RECEIVERS if namespaced else ""
    permissions = _read(CLUSTER_CONFIGS, optional=optional)
    if manages:
        permissions.append(RequiredPermission("patch", CLUSTER_CONFIGS, "", STATUS, optional))
    return permissions


def _of_projects(manages: bool, namespace: str) -> list[RequiredPermission]:
    permissions = [
        permission
        for resource in (PROJECT_CONFIGS, FREIGHTS, WAREHOUSES)
        for permission in _read(resource, namespace)
    ]
    permissions.append(RequiredPermission("patch", WAREHOUSES, namespace))
    if manages:
        permissions += [
            RequiredPermission("patch", PROJECT_CONFIGS, namespace, STATUS),
            RequiredPermission("get", SECRETS, namespace),
        ]
    return permissions


def rbac_manifest(missing: Iterable[RequiredPermission]) -> str:
    """Return the YAML that grants these permissions: a role and its binding per namespace, and for the cluster."""
    by_namespace: dict[str, list[RequiredPermission]] = defaultdict(list)
    for permission in missing:
        by_namespace[permission.namespace].append(permission)
    return "---\n".join(_objects(namespace, by_namespace[namespace]) for namespace in sorted(by_namespace))


def _objects(namespace: str, permissions: Iterable[RequiredPermission]) -> str:
    prefix = "" if namespace else "Cluster"
    metadata = f"metadata:\n  name: {ACCOUNT}-missing\n" + (
        f"  namespace: {namespace}\n" if namespace else ""
    )
    head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: "
    return (
        f"{head}{prefix}Role\n{metadata}rules:\n{_rules(permissions)}---\n{head}{prefix}RoleBinding\n{metadata}"
        f"roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {prefix}Role\n  name: {ACCOUNT}-missing\n"
        f"subjects:\n  - kind: ServiceAccount\n    name: {ACCOUNT}\n    namespace: {ACCOUNT}\n"
    )


def _rules(permissions: Iterable[RequiredPermission]) -> str:
    """Return one rule for all resources of an API group that require the same verbs."""
    verbs_by_resource: dict[tuple[str, str], list[str]] = defaultdict(list)
    for permission in permissions:
        verbs_by_resource[permission.resource.group, permission.resource_name].append(permission.verb)
    resources_by_verbs: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), verbs in verbs_by_resource.items():
        resources_by_verbs[group, tuple(verbs)].append(resource)
    return "".join(
        f'  - apiGroups: ["{group}"]\n    resources: [{", ".join(resources)}]\n    verbs: [{", ".join(verbs)}]\n'
        for (group, verbs), resources in resources_by_verbs.items()
    )
