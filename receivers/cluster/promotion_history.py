"""The Promotions of the Stages that pages show.

A cluster may have two weeks of Promotions, far too many to keep. Those of a Stage are listed when a page shows it, and
kept up to date by a watch while pages show it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import Key
from receivers.cluster.errors import ClusterError
from receivers.cluster.reflector import TailReflector
from receivers.cluster.snapshot import Change
from receivers.kargo.resources import Resource
from receivers.kargo.stages import (
    PROMOTIONS,
    STAGE_LABEL,
    Promotion,
    StageKey,
    creation_order,
    decode_promotion,
)

log = logging.getLogger(__name__)

RELIST_SECONDS: Final = 300.0  # the watch has no event of what happened in a gap
RETRY_SECONDS: Final = 10.0  # after an error of the API server
IDLE_SECONDS: Final = 600.0  # Promotions of a Stage are forgotten this long after a page has shown it
MAX_PAGES: Final = 20  # of 500 Promotions; a project with more lacks the last Stages' older ones
KEPT_PER_STAGE: Final = 200  # Kargo keeps 20, and those of two weeks
MAX_LABEL: Final = 63  # characters; longer names of Stages are hashed in the label
STAGES_PER_LIST: Final = 20  # keeps the URL short
STOP_TIMEOUT: Final = 5.0  # seconds


class PromotionReflector(TailReflector):
    """Watches Promotions from now on."""

    def _change(self, key: Key, raw: dict[str, Any], *, exists: bool) -> None:
        promotion = self._decode(raw, None)
        self._changed(self.resource, [(None, promotion) if exists else (promotion, None)])


class PromotionHistory:
    """The Promotions of requested Stages. Thread-safe."""

    def __init__(self, cluster: Callable[[], KubernetesClient], changed: Callable[[str], None]) -> None:
        """`changed` is called with the name of a project when Promotions of a requested Stage have changed."""
        self._cluster = cluster
        self._on_change = changed
        self._condition = threading.Condition()
        self._promotions: dict[StageKey, dict[str, Promotion]] = {}
        self._requested_at: dict[StageKey, float] = {}
        self._first_requested_at: dict[StageKey, float] = {}
        self._list_at: dict[StageKey, float] = {}
        self._listed: set[StageKey] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="list-promotions", daemon=True)

    def start(self) -> None:
        """Start the thread that lists."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; it ends after the current request."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)

    def of(
        self, project: str, stages: Sequence[str], timeout: float = 0.0
    ) -> tuple[Mapping[str, list[Promotion]], bool]:
        """Return the Promotions by Stage, oldest first, and whether all were listed.

        Waits for the first list, up to `timeout` seconds after the first request.
        """
        keys = [(project, stage) for stage in stages]
        with self._condition:
            now = time.monotonic()
            wait_until = now + timeout
            for key in keys:
                self._requested_at[key] = now
                wait_until = min(wait_until, self._first_requested_at.setdefault(key, now) + timeout)
                if key not in self._list_at:
                    self._list_at[key] = now
                    self._condition.notify_all()
            # A failed list is due later, so that no page waits for it again.
            self._condition.wait_for(
                lambda: all(key in self._listed or self._list_at.get(key, now) > now for key in keys),
                wait_until - now,
            )
            promotions = {
                stage: sorted(self._promotions.get((project, stage), {}).values(), key=_order)
                for stage in stages
            }
            return promotions, all(key in self._listed for key in keys)

    def apply(self, _: Resource, changes: Iterable[Change]) -> None:
        """Note what the watch has seen."""
        projects = set()
        with self._condition:
            for old, new in changes:
                promotion: Promotion = new or old
                key = promotion.project, promotion.stage
                if key not in self._requested_at:
                    continue
                projects.add(promotion.project)
                if new is None:
                    self._promotions.get(key, {}).pop(promotion.name, None)
                else:
                    self._add(promotion)
        for project in projects:
            self._on_change(project)

    def restarted(self) -> None:
        """Note that the watch may have missed events."""
        with self._condition:
            now = time.monotonic()
            self._list_at = dict.fromkeys(self._list_at, now)
            self._condition.notify_all()

    def _add(self, promotion: Promotion) -> None:
        known = self._promotions.setdefault((promotion.project, promotion.stage), {})
        before = known.get(promotion.name)
        # A list and the watch run at the same time; the versions of an object increase.
        if before is None or _number(before.resource_version) <= _number(promotion.resource_version):
            known[promotion.name] = promotion
        if len(known) > KEPT_PER_STAGE:
            del known[min(known, key=creation_order)]

    def _run(self) -> None:
        while True:
            with self._condition:
                if self._stopping:
                    return
                due = self._due()
                if not due:
                    self._condition.wait(1.0)
                    continue
            project, stages = due
            try:
                self._list(project, stages)
            except ClusterError as error:
                log.info("Cannot list the Promotions of %s: %s", project, error)
                self._retry_later(project, stages)
            except Exception:
                log.exception("Unexpected error while listing the Promotions of %s", project)
                self._retry_later(project, stages)

    def _due(self) -> tuple[str, list[str]] | None:
        """Return a project and its Stages that are to be listed now. Forget what no page shows any more."""
        now = time.monotonic()
        for key in [key for key, at in self._requested_at.items() if now - at > IDLE_SECONDS]:
            for mapping in (self._requested_at, self._first_requested_at, self._list_at, self._promotions):
                mapping.pop(key, None)
            self._listed.discard(key)
        due = sorted(key for key, at in self._list_at.items() if at <= now)
        if not due:
            return None
        project = due[0][0]
        return project, [stage for name, stage in due if name == project][:STAGES_PER_LIST]

    def _retry_later(self, project: str, stages: Sequence[str]) -> None:
        with self._condition:
            at = time.monotonic() + RETRY_SECONDS
            self._list_at.update({(project, stage): at for stage in stages})
            self._condition.notify_all()

    def _list(self, project: str, stages: Sequence[str]) -> None:
        wanted = set(stages)
        selector = f"{STAGE_LABEL} in ({','.join(stages)})" if _fit_label(stages) else ""
        with self._condition:
            before = {stage: set(self._promotions.get((project, stage), {})) for stage in stages}
        pages = self._cluster().list_pages(PROMOTIONS, project, labels=selector, item=decode_promotion)
        listed = [
            promotion
            for page in islice(pages, MAX_PAGES)
            for promotion in page.items
            if promotion.stage in wanted
        ]
        with self._condition:
            names = {promotion.name for promotion in listed}
            for stage in stages:
                known = self._promotions.get((project, stage), {})
                for name in before[stage] - names:  # deleted; not one that was created meanwhile
                    known.pop(name, None)
            for promotion in listed:
                self._add(promotion)
            at = time.monotonic() + RELIST_SECONDS
            self._list_at.update({(project, stage): at for stage in stages})
            self._listed.update((project, stage) for stage in stages)
            self._condition.notify_all()
        self._on_change(project)


def _fit_label(stages: Sequence[str]) -> bool:
    return all(len(stage) <= MAX_LABEL for stage in stages)


def _order(promotion: Promotion) -> str:
    return promotion.order


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0
