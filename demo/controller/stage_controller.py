"""The controller of Stages and Promotions: watch them, Freight and policies, and do what `stage_work` finds due."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from demo.controller.stage_work import ProjectObjects, StageWork
from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import Codec, Key, key_of, version_of
from receivers.cluster.errors import ClusterError, NotFound
from receivers.cluster.reflector import Reflector
from receivers.cluster.snapshot import Change
from receivers.kargo.promotion_policies import decode_policies
from receivers.kargo.resources import FREIGHTS, PROJECT_CONFIGS, Resource
from receivers.kargo.stages import PROMOTIONS, STAGES

log = logging.getLogger("demo.controller")

RETRY_DELAY: Final = 0.5  # seconds, after an error of the API server
LONGEST_WAIT: Final = 0.5  # seconds until the thread sees that it must stop


@dataclass(frozen=True, slots=True)
class RawObject:
    """An object as the API server sent it."""

    key: Key
    resource_version: str
    content: Mapping[str, Any]


def raw_object(raw: Mapping[str, Any], _: object) -> RawObject:
    """Return an object as the API server sent it; a codec of a `Reflector`."""
    return RawObject(key_of(raw), version_of(raw), raw)


class StageController:
    """Runs the Stages of all projects in one thread, with watches in their own threads."""

    def __init__(self, cluster: KubernetesClient) -> None:
        self._cluster = cluster
        self._changed = threading.Event()
        self._lock = threading.Lock()  # of `_objects`
        self._objects: dict[Resource, dict[Key, RawObject]] = defaultdict(dict)
        self._reflectors = [
            Reflector(
                resource,
                "",
                cluster=lambda: self._cluster,
                changed=self._apply,
                settled=self._changed.set,
                may_be_forbidden=False,
                backoff=Backoff(),
                clock=time.time,
                codec=Codec(resource, raw_object),
            )
            for resource in (STAGES, FREIGHTS, PROMOTIONS, PROJECT_CONFIGS)
        ]

    def run(self, stopping: threading.Event) -> None:
        """Run until `stopping` is set."""
        for reflector in self._reflectors:
            reflector.start()
        due = math.inf
        while not stopping.is_set():
            if self._changed.wait(max(0.0, min(due - time.monotonic(), LONGEST_WAIT))):
                self._changed.clear()
            elif time.monotonic() < due:
                continue
            if all(reflector.is_settled for reflector in self._reflectors):
                due = time.monotonic() + self._pass(stopping)
        for reflector in self._reflectors:
            reflector.stop()
        for reflector in self._reflectors:
            reflector.join(1.0)

    def _pass(self, stopping: threading.Event) -> float:
        """Do one thing for each Stage. Return the seconds until something is due."""
        due = math.inf
        for key in sorted(self._objects[STAGES]):
            if stopping.is_set():
                break
            objects, stage = self._project(key[0]), self._objects[STAGES].get(key)
            if stage is None:
                continue
            try:
                due = min(due, StageWork(stage.content, objects, self._patch, self._create, self._read).run())
            except ClusterError as error:
                log.info("retrying Stage %s/%s: %s", *key, error)
                due = min(due, RETRY_DELAY)
            except Exception:
                log.exception("Stage %s/%s failed", *key)
                due = min(due, RETRY_DELAY)
        return due

    def _project(self, project: str) -> ProjectObjects:
        with self._lock:
            stages, freight, promotions = (
                {key[1]: item.content for key, item in self._objects[resource].items() if key[0] == project}
                for resource in (STAGES, FREIGHTS, PROMOTIONS)
            )
            config = self._objects[PROJECT_CONFIGS].get((project, project))
        spec = config.content.get("spec") or {} if config else {}
        return ProjectObjects(stages, freight, promotions, decode_policies(spec.get("promotionPolicies")))

    def _apply(self, resource: Resource, changes: list[Change]) -> None:
        with self._lock:
            for old, new in changes:
                if new is None:
                    self._objects[resource].pop(old.key, None)
                else:
                    self._store(resource, new)
        self._changed.set()

    def _store(self, resource: Resource, new: RawObject) -> None:
        """Store an object unless a later version is stored: what was written is known before its event."""
        old = self._objects[resource].get(new.key)
        if old is None or int(old.resource_version) <= int(new.resource_version):
            self._objects[resource][new.key] = new

    def _patch(self, resource: Resource, raw: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        project, name = key_of(raw)
        written = self._cluster.patch_status(resource, name, project, {"status": dict(changes)})
        with self._lock:
            self._store(resource, raw_object(written, None))

    def _create(self, promotion: Mapping[str, Any], project: str) -> None:
        created = self._cluster.create(PROMOTIONS, promotion, project)
        log.info("created Promotion %s/%s", project, created["metadata"]["name"])
        with self._lock:
            self._store(PROMOTIONS, raw_object(created, None))

    def _read(self, resource: Resource, name: str, project: str) -> Mapping[str, Any] | None:
        try:
            return self._cluster.get(resource, name, project)
        except NotFound:
            return None
