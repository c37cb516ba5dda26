"""Create Freight in the cluster, with an alias and an event. `freight` builds the objects."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from demo.controller import freight
from demo.controller.aliases import new_alias
from demo.controller.discovery import rfc3339
from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import AlreadyExists, ClusterError
from receivers.kargo.resources import EVENTS, FREIGHTS

log = logging.getLogger("demo.controller")


class FreightCreator:
    """Creates Freight. May be used by several threads."""

    def __init__(self, cluster: KubernetesClient) -> None:
        self._cluster = cluster
        self._aliases: dict[str, set[str]] = {}

    def create(self, project: str, warehouse: str, artifacts: Mapping[str, Any]) -> tuple[str, bool]:
        """Create Freight with the newest artifacts. Return the `lastFreightID`, and whether the Freight is new.

        Raises `BuildError` or `ClusterError`.
        """
        content = freight.build(warehouse, artifacts)
        name = freight.freight_id(content, f"Warehouse/{warehouse}")
        aliases = self._aliases_of(project)
        alias = new_alias(aliases)
        new_freight = freight.freight_object(project, name, alias, content, artifacts["discoveredAt"])
        try:
            created = self._cluster.create(FREIGHTS, new_freight, project)
        except AlreadyExists:
            # Kargo computes the name before the Freight has an origin. The admission webhook returns the actual name,
            # but not with an error. So this is not the name of any Freight.
            return freight.freight_id(content, "/"), False
        aliases.add(alias)
        self._create_event(created)
        return name, True

    def _aliases_of(self, project: str) -> set[str]:
        if project not in self._aliases:
            pages = self._cluster.list_pages(FREIGHTS, project, item=lambda raw: str(raw.get("alias", "")))
            self._aliases[project] = {alias for page in pages for alias in page.items}
        return self._aliases[project]

    def _create_event(self, created: Mapping[str, Any]) -> None:
        event = freight.created_event(created, rfc3339(time.time()))
        try:
            self._cluster.create(EVENTS, event, event["metadata"]["namespace"])
        except ClusterError as error:
            log.warning("cannot create the event for new Freight: %s", error)
