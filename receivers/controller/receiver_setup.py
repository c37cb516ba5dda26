"""Create a receiver: a Secret with a random value, and an entry in a ProjectConfig or the ClusterConfig.

Nothing that exists is overwritten: the Secret is created, and the entry is appended on condition that the configuration
has not changed in the meantime. `spec.webhookReceivers` is an atomic list, so server-side apply would replace the
entries of others, or conflict with their field managers.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from receivers.cluster.client import KubernetesClient, Object
from receivers.cluster.errors import AlreadyExists, Conflict, NotFound, NotInstalled
from receivers.kargo.coverage import DOCKER_HUB
from receivers.kargo.kinds import KINDS
from receivers.kargo.resources import (
    CLUSTER_CONFIG_NAME,
    CLUSTER_CONFIGS,
    PROJECT_CONFIGS,
    SECRETS,
    Resource,
)

CREDENTIAL_LABEL: Final = {"kargo.akuity.io/cred-type": "generic"}
"""Kargo's UI and API manage only Secrets that have it."""

GENERIC: Final = "generic"
"""The kind whose receivers say what a request does."""

SECRET_LENGTH: Final = 32  # letters and digits, 190 bits
ATTEMPTS: Final = 3  # to change a configuration that others change at the same time


class ReceiverExists(ValueError):
    """The configuration has a receiver with this name."""


class SecretExists(ValueError):
    """There is a Secret with this name. It may belong to something else, so it is left alone."""


@dataclass(frozen=True, slots=True)
class NewReceiver:
    """A receiver to create: its name, that of its Secret, and the project; without one it is a cluster receiver.

    `secret_namespace` is the project, or the namespace that Kargo reads the Secrets of cluster receivers from.
    `repository` is the expression for the repository that a request to a `generic` receiver names, as Warehouses
    subscribe to it; other kinds need none.
    """

    project: str
    name: str
    secret: str
    secret_namespace: str
    kind: str = DOCKER_HUB
    repository: str = ""

    @property
    def resource(self) -> Resource:
        """Return the type of the configuration."""
        return PROJECT_CONFIGS if self.project else CLUSTER_CONFIGS

    @property
    def config_name(self) -> str:
        """Return the name of the configuration, which for a ProjectConfig is that of its project."""
        return self.project or CLUSTER_CONFIG_NAME

    @property
    def entry(self) -> dict[str, Any]:
        """Return the entry of `spec.webhookReceivers`."""
        settings: dict[str, Any] = {"secretRef": {"name": self.secret}}
        if self.kind == GENERIC:
            settings["actions"] = [_refresh_subscribers(self.repository)]
        return {"name": self.name, self.kind: settings}

    def secret_object(self, value: str) -> dict[str, Any]:
        """Return the Secret with this value."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.secret,
                "namespace": self.secret_namespace,
                "labels": dict(CREDENTIAL_LABEL),
            },
            "stringData": {KINDS[self.kind].secret_key: value},
        }

    def config_object(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration with this `spec`."""
        metadata = {"name": self.config_name} | ({"namespace": self.project} if self.project else {})
        return {
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": metadata,
            "spec": dict(spec),
        }


def _refresh_subscribers(repository: str) -> dict[str, Any]:
    """Return the action that refreshes the Warehouses with a subscription to a repository, given by an expression."""
    index = {"key": "subscribedURLs", "operator": "Equals", "value": f"${{{{ {repository} }}}}"}
    criterion = {"kind": "Warehouse", "indexSelector": {"matchIndices": [index]}}
    return {"action": "Refresh", "targetSelectionCriteria": [criterion]}


def random_secret() -> str:
    """Return a random value for a Secret. The receiver URL can be computed from it."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(SECRET_LENGTH))


def read_config(cluster: KubernetesClient, new: NewReceiver) -> Object | None:
    """Return the configuration to add the receiver to; None if it doesn't exist. Raises `ClusterError`."""
    try:
        return cluster.get(new.resource, new.config_name, new.project or None)
    except NotInstalled:
        raise  # Kargo is missing, not the configuration
    except NotFound:
        return None


def receivers_of(config: Object | None) -> list[Any]:
    """Return `spec.webhookReceivers` of a configuration as it is."""
    spec = (config or {}).get("spec")
    entries = spec.get("webhookReceivers") if isinstance(spec, Mapping) else None
    return list(entries) if isinstance(entries, list) else []


def may_create(cluster: KubernetesClient, new: NewReceiver) -> bool:
    """Return whether kargoweb's account may create the Secret and change the configuration. Raises `ClusterError`."""
    project = new.project or None
    return cluster.can_i("create", SECRETS, new.secret_namespace) and all(
        cluster.can_i(verb, new.resource, project) for verb in ("create", "patch")
    )


def create_receiver(cluster: KubernetesClient, new: NewReceiver) -> None:
    """Create the Secret with a random value, which nobody sees, and add the receiver.

    Raises `ReceiverExists`, `SecretExists`, or `ClusterError`; after the latter, the Secret may exist.
    """
    _reject_duplicate(receivers_of(read_config(cluster, new)), new)
    try:
        cluster.create(SECRETS, new.secret_object(random_secret()), new.secret_namespace)
    except AlreadyExists as error:
        raise SecretExists(new.secret) from error
    for attempt in range(ATTEMPTS):
        try:
            _add(cluster, new)
        except Conflict:  # the configuration has changed since it was read
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def _add(cluster: KubernetesClient, new: NewReceiver) -> None:
    config = read_config(cluster, new)
    if config is None:
        cluster.create(
            new.resource, new.config_object({"webhookReceivers": [new.entry]}), new.project or None
        )
        return
    entries = receivers_of(config)
    _reject_duplicate(entries, new)
    patch = {
        "metadata": {"resourceVersion": config["metadata"]["resourceVersion"]},
        "spec": {"webhookReceivers": [*entries, new.entry]},
    }
    cluster.patch(new.resource, new.config_name, new.project or None, patch)


def _reject_duplicate(entries: Sequence[Any], new: NewReceiver) -> None:
    if any(isinstance(entry, Mapping) and entry.get("name") == new.name for entry in entries):
        raise ReceiverExists(new.name)
