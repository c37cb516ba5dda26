"""Reads the cluster once, for commands that run without a serving process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.cluster.errors import KubeconfigError
from receivers.cluster.kargo_version import KargoVersionDetector
from receivers.management.console import ExitCode, fail


@contextmanager
def cluster_contents(timeout: float) -> Iterator[ClusterCache]:
    """Yield a cache that contains the whole cluster, and stop it afterwards.

    Exits with `ERROR`, without waiting, if there are no usable credentials, and with `TIMEOUT` if the cluster is not
    read within `timeout` seconds.
    """
    configuration = settings.KARGOWEB
    try:
        # Connect first: the cache's own threads would retry without credentials until the timeout.
        client = connect(context=configuration.kube_context)
    except KubeconfigError as error:
        fail(f"Can't connect to the cluster: {error}")
    kargo_version = KargoVersionDetector(configuration.kargo_namespace, configuration.kargo_version)
    cache = ClusterCache(lambda: client, configuration.namespaces, kargo_version=kargo_version)
    # The cache logs every failed attempt. A command reports one error, at the end.
    logging.disable(logging.WARNING)
    cache.start()
    try:
        if not cache.wait_ready(timeout):
            errors = [watch.error for watch in cache.freshness() if watch.error]
            cause = errors[0] if errors else "no response"
            fail(f"The cluster was not read within {timeout:g} s: {cause}", ExitCode.TIMEOUT)
        yield cache
    finally:
        cache.stop()
        logging.disable(logging.NOTSET)
