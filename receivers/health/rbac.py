"""What kargoweb's service account has to be allowed, and the RBAC objects that allow what it lacks.

The same as `deploy/base/rbac.yaml`, `deploy/components/manage-receivers` and `deploy/heartbeats`; a test compares them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    FREIGHTS,
    LEASES,
    PROJECT_CONFIGS,
    PROJECTS,
    SECRETS,
    WAREHOUSES,
    Resource,
)

READ: Final = ("get", "list", "watch")
ACCOUNT: Final = "kargoweb"  # the service account, and its namespace, of deploy/base
STATUS: Final = "status"


@dataclass(frozen=True, slots=True)
class Need:
    """A verb on a type (or its subresource) in a namespace, or (empty) everywhere.

    `optional` says what is missed without it; empty for what kargoweb cannot do without.
    """

    verb: str
    resource: Resource
    namespace: str
    subresource: str = ""
    optional: str = ""

    @property
    def what(self) -> str:
        """Return the resource as RBAC writes it: `projectconfigs/status`."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def needs(
    *, manages: bool, namespaces: Sequence[str], system_namespace: str, kargo_namespace: str
) -> tuple[Need, ...]:
    """Return what is needed: `manages` receivers or not, cluster-wide or (not empty) in some namespaces only."""
    found = _of_cluster(manages, dispensable=bool(namespaces))
    if not namespaces:
        found += _read(PROJECTS)
    for namespace in namespaces or ("",):
        found += _of_projects(manages, namespace)
    if manages and namespaces:
        found.append(Need("get", SECRETS, system_namespace, optional=_NO_CLUSTER_RECEIVERS))
    found.append(Need("list", LEASES, kargo_namespace, optional=_NO_HEARTBEATS))
    return tuple(found)


_NO_CLUSTER_RECEIVERS: Final = "without it there are no cluster receivers"
_NO_HEARTBEATS: Final = "without it nobody says that a shard has no controller"


def _read(resource: Resource, namespace: str = "", optional: str = "") -> list[Need]:
    return [Need(verb, resource, namespace, optional=optional) for verb in READ]


def _of_cluster(manages: bool, *, dispensable: bool) -> list[Need]:
    without = _NO_CLUSTER_RECEIVERS if dispensable else ""
    found = _read(CLUSTER_CONFIGS, optional=without)
    if manages:
        found.append(Need("patch", CLUSTER_CONFIGS, "", STATUS, without))
    return found


def _of_projects(manages: bool, namespace: str) -> list[Need]:
    found = [
        need for resource in (PROJECT_CONFIGS, FREIGHTS, WAREHOUSES) for need in _read(resource, namespace)
    ]
    found.append(Need("patch", WAREHOUSES, namespace))
    if manages:
        found += [Need("patch", PROJECT_CONFIGS, namespace, STATUS), Need("get", SECRETS, namespace)]
    return found


def rbac(missing: Iterable[Need]) -> str:
    """Return the YAML that allows these: a role and its binding for each namespace, and for the cluster."""
    by_namespace: dict[str, list[Need]] = defaultdict(list)
    for need in missing:
        by_namespace[need.namespace].append(need)
    return "---\n".join(_objects(namespace, by_namespace[namespace]) for namespace in sorted(by_namespace))


def _objects(namespace: str, several: Iterable[Need]) -> str:
    prefix = "" if namespace else "Cluster"
    metadata = f"metadata:\n  name: {ACCOUNT}-missing\n" + (
        f"  namespace: {namespace}\n" if namespace else ""
    )
    head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: "
    return (
        f"{head}{prefix}Role\n{metadata}rules:\n{_rules(several)}---\n{head}{prefix}RoleBinding\n{metadata}"
        f"roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {prefix}Role\n  name: {ACCOUNT}-missing\n"
        f"subjects:\n  - kind: ServiceAccount\n    name: {ACCOUNT}\n    namespace: {ACCOUNT}\n"
    )


def _rules(several: Iterable[Need]) -> str:
    """Return one rule for all resources of a group that need the same verbs."""
    verbs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for need in several:
        verbs[need.resource.group, need.what].append(need.verb)
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, what), verbs_of in verbs.items():
        resources[group, tuple(verbs_of)].append(what)
    return "".join(
        f'  - apiGroups: ["{group}"]\n    resources: [{", ".join(whats)}]\n    verbs: [{", ".join(verbs_of)}]\n'
        for (group, verbs_of), whats in resources.items()
    )
