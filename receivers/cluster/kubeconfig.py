"""Finds and loads the credentials for a cluster, with the official client's own loaders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from receivers.cluster.errors import ConfigurationProblem

DEFAULT_KUBECONFIG: Final = "~/.kube/config"
SERVICE_HOST: Final = "KUBERNETES_SERVICE_HOST"  # set by the kubelet in every pod


def load_configuration(kubeconfig: str | None = None, context: str = "") -> Configuration:
    """Load what it takes to talk to a cluster: address, TLS, credentials and the hook that refreshes them.

    `kubeconfig` is a path (or several, joined as in `KUBECONFIG`); None means `KUBECONFIG`, else
    `~/.kube/config` if it exists, else the pod's service account. `context` is a context of the kubeconfig,
    empty for the current one. Raises `ConfigurationProblem`.
    Never change host or TLS of what is returned: the refresh hook overwrites them.
    """
    configuration = Configuration()
    paths = kubeconfig or os.environ.get("KUBECONFIG", "")
    if not paths and Path(DEFAULT_KUBECONFIG).expanduser().exists():
        paths = DEFAULT_KUBECONFIG
    if paths:
        _load_file(paths, context, configuration)
    elif SERVICE_HOST in os.environ:
        _load_service_account(configuration)
    else:
        raise ConfigurationProblem(
            f"there is no kubeconfig: KUBECONFIG is not set, {DEFAULT_KUBECONFIG} does not exist, "
            "and this is not a pod"
        )
    return configuration


def _load_file(paths: str, context: str, configuration: Configuration) -> None:
    if not any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path):
        raise ConfigurationProblem(f"the kubeconfig {paths} does not exist")
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=paths, context=context or None, client_configuration=configuration
        )
    except Exception as error:  # noqa: BLE001  a broken file makes the loader raise nearly anything
        # The loader's messages quote whole entries of the file, tokens included: cut, and not chained.
        raise ConfigurationProblem(f"the kubeconfig {paths} cannot be used: {_harmless(error)}") from None


def _load_service_account(configuration: Configuration) -> None:
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise ConfigurationProblem(f"the pod's service account cannot be used: {_harmless(error)}") from error


def _harmless(error: Exception) -> str:
    """Say what is wrong without the file's content, which follows the first brace, quote or line break."""
    if isinstance(error, ConfigException | OSError):
        return str(error).partition("{")[0].partition("\n")[0].strip()
    return f"it is not a valid kubeconfig ({type(error).__name__})"
