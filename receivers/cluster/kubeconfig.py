"""Find and load the configuration of a cluster with the official client's loaders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from receivers.cluster.errors import KubeconfigError

DEFAULT_KUBECONFIG: Final = "~/.kube/config"
SERVICE_HOST: Final = "KUBERNETES_SERVICE_HOST"  # set by the kubelet in every pod


def load_configuration(kubeconfig: str | None = None, context: str = "") -> Configuration:
    """Load the address, TLS settings and credentials of a cluster, and the hook that refreshes the credentials.

    `kubeconfig` is a path, or several joined as in `KUBECONFIG`. None means `KUBECONFIG`, then `~/.kube/config` if it
    exists, then the pod's service account. `context` is a context of the kubeconfig; empty means the current one.
    Raises `KubeconfigError`. Never change the host or TLS settings of the result: the refresh hook overwrites them.
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
        raise KubeconfigError(
            f"no kubeconfig found: KUBECONFIG is not set, {DEFAULT_KUBECONFIG} does not exist, "
            "and kargoweb does not run in a pod"
        )
    return configuration


def _load_file(paths: str, context: str, configuration: Configuration) -> None:
    if not any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path):
        raise KubeconfigError(f"the kubeconfig {paths} does not exist")
    try:
        load_kube_config(config_file=paths, context=context or None, client_configuration=configuration)
    except Exception as error:  # noqa: BLE001  the loader raises nearly anything for a broken file
        # The loader's messages quote whole entries of the file, tokens included: shorten them, and do not chain.
        raise KubeconfigError(f"invalid kubeconfig {paths}: {_redacted(error)}") from None


def _load_service_account(configuration: Configuration) -> None:
    try:
        load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise KubeconfigError(f"cannot use the pod's service account: {_redacted(error)}") from error


def _redacted(error: Exception) -> str:
    """Return the loader's message without the content of the file, which follows the first brace or line break."""
    if isinstance(error, ConfigException | OSError):
        return str(error).partition("{")[0].partition("\n")[0].strip()
    return f"cannot parse the file ({type(error).__name__})"
