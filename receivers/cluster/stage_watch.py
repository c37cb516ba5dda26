"""Follow Freight through the Stages, by watches of Stages, the status of Freight, and Promotions of what pages show.

kargoweb works without it: what its service account may not read is missing, and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import Codec, Key
from receivers.cluster.errors import ClusterError, NotFound
from receivers.cluster.promotion_history import PromotionHistory, PromotionReflector
from receivers.cluster.reflector import Freshness, Reflector
from receivers.cluster.snapshot import Change
from receivers.kargo.resources import FREIGHTS, ReceiverConfig, Resource, WarehouseKey
from receivers.kargo.stage_order import upstreams_by_stage
from receivers.kargo.stage_progress import Pipeline, assess_journey, newest_first
from receivers.kargo.stage_states import StageJourney
from receivers.kargo.stages import PROMOTIONS, STAGES, FreightStatus, Stage, decode_freight_status

log = logging.getLogger(__name__)

KEPT_FREIGHT: Final = 10_000  # objects, about 15 MB; what is in a Stage or new comes first
SLACK: Final = 1_000  # objects above `KEPT_FREIGHT` until the rest is forgotten, which takes a sort
LOOKUP_SECONDS: Final = 30.0  # that Freight which was looked up is kept
MAX_LOOKUPS: Final = 500  # pieces of Freight that were looked up
FIRST_LIST_SECONDS: Final = 1.0  # that a page waits for the first list of Promotions
MAX_MATCHES: Final = 50  # of a search
MIN_NAME_LENGTH: Final = 4  # characters of the name of Freight that find it
STOP_TIMEOUT: Final = 5.0  # seconds for the watch threads to end

ProjectListener = Callable[[str], None]

FREIGHT_STATUS: Final = Codec(FREIGHTS, lambda raw, _: decode_freight_status(raw))


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Freight that was read at a time of the monotonic clock; `missing`: there is none of that name."""

    at: float
    freight: FreightStatus | None
    missing: bool


class FreightStatusReflector(Reflector):
    """Keeps the status of Freight that is in a Stage or new."""

    def _limit(self, objects: dict[Key, FreightStatus]) -> None:
        if len(objects) > KEPT_FREIGHT + SLACK:
            for key in _least_interesting(objects):
                del objects[key]

    def _change(self, key: Key, raw: dict[str, Any], *, exists: bool) -> None:
        super()._change(key, raw, exists=exists)
        if len(self._objects) > KEPT_FREIGHT + SLACK:
            forgotten: list[Change] = [
                (self._objects.pop(old), None) for old in _least_interesting(self._objects)
            ]
            self._changed(self.resource, forgotten)


def _least_interesting(objects: Mapping[Key, FreightStatus]) -> list[Key]:
    """Return what is to be forgotten so that `KEPT_FREIGHT` objects are left."""

    def interest(key: Key) -> tuple[bool, Any]:
        return bool(objects[key].currently_in), newest_first(objects[key])

    return sorted(objects, key=interest)[: len(objects) - KEPT_FREIGHT]


def _ignore() -> None:
    """Do nothing: `ready` asks the reflectors itself, whenever it is read."""


class StageWatch:
    """The Stages of all projects and the way of Freight through them. Thread-safe."""

    def __init__(
        self,
        cluster: Callable[[], KubernetesClient],
        config: Callable[[str], ReceiverConfig | None],
        namespaces: Sequence[str] = (),
        *,
        required: bool = False,
        backoff: Backoff | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Create a watch that is not yet running, of all namespaces or only of `namespaces`.

        `cluster` may raise `ClusterError`; it is called again after a delay. `config` returns the ProjectConfig of a
        project, which has its promotion policies. `required`: `freshness` has what may not be read as an error,
        otherwise it doesn't mention that.
        """
        self._cluster = cluster
        self._config = config
        self._clock = clock
        self._required = required
        self._lock = threading.Lock()  # of writes to the fields below
        self._stages: dict[str, Mapping[str, Stage]] = {}  # by project and name; replaced, not changed
        self._freight: dict[str, dict[str, FreightStatus]] = {}
        self._versions: dict[str, int] = defaultdict(int)
        self._looked_up: dict[tuple[str, str], _Lookup] = {}
        self._listeners: tuple[ProjectListener, ...] = ()
        self._history = PromotionHistory(cluster, self._note)
        common: dict[str, Any] = {
            "cluster": cluster,
            "may_be_forbidden": True,
            "backoff": backoff or Backoff(),
            "clock": lambda: clock().timestamp(),
        }
        spaces = tuple(sorted(set(namespaces))) or ("",)
        self._of_stages = tuple(
            Reflector(STAGES, space, changed=self._apply_stages, settled=_ignore, **common)
            for space in spaces
        )
        self._of_freight = tuple(
            FreightStatusReflector(
                FREIGHTS,
                space,
                changed=self._apply_freight,
                settled=_ignore,
                codec=FREIGHT_STATUS,
                **common,
            )
            for space in spaces
        )
        of_promotions = (
            PromotionReflector(
                PROMOTIONS, space, changed=self._history.apply, settled=self._history.restarted, **common
            )
            for space in spaces
        )
        self.reflectors = (*self._of_stages, *self._of_freight, *of_promotions)

    def start(self) -> None:
        """Start the threads. Never raises; errors are reported by `freshness`."""
        self._history.start()
        for reflector in self.reflectors:
            reflector.start()

    def stop(self) -> None:
        """Stop the threads."""
        for reflector in self.reflectors:
            reflector.stop()
        self._history.stop()
        deadline = time.monotonic() + STOP_TIMEOUT
        for reflector in self.reflectors:
            reflector.join(max(0.0, deadline - time.monotonic()))

    def retry(self) -> None:
        """Watch again now instead of at the end of the current delay."""
        for reflector in self.reflectors:
            reflector.retry()

    def freshness(self) -> tuple[Freshness, ...]:
        """Return the freshness of Stages, Freight and Promotions, per namespace if limited to namespaces."""
        return tuple(
            reflector.freshness()
            for reflector in self.reflectors
            if self._required or not reflector.is_forbidden
        )

    @property
    def is_permitted(self) -> bool:
        """Return whether Stages can be read in at least one namespace, as far as is known."""
        return any(reflector.freshness().synced for reflector in self._of_stages)

    @property
    def ready(self) -> bool:
        """Return whether Stages and the status of Freight were listed, or may not be."""
        return all(reflector.is_settled for reflector in (*self._of_stages, *self._of_freight))

    def add_listener(self, listener: ProjectListener) -> None:
        """Call `listener` with the name of a project after a change there, in the thread of a watch."""
        self._listeners += (listener,)

    def on_change(self, _: Resource, old: object, new: object) -> None:
        """Note that the promotion policies of a project may have changed; a listener of the cluster cache."""
        config = new or old
        if isinstance(config, ReceiverConfig) and config.project:
            self._note(config.project)

    def version(self, project: str) -> int:
        """Return a number that increases with every change in a project."""
        return self._versions.get(project, 0)

    def stages(self, project: str) -> tuple[Stage, ...]:
        """Return the Stages of a project, sorted by name."""
        by_name = self._stages.get(project, {})
        return tuple(by_name[name] for name in sorted(by_name))

    def freight(self, project: str, name: str) -> FreightStatus | None:
        """Return a piece of Freight; what isn't in memory is read from the API server. None if it doesn't exist."""
        known = self._freight.get(project, {}).get(name)
        return known if known is not None else self._look_up(project, name)

    def is_gone(self, project: str, name: str) -> bool:
        """Return whether there is no such Freight, as far as `freight` or `journey` have just found out."""
        known = self._looked_up.get((project, name))
        return name not in self._freight.get(project, {}) and known is not None and known.missing

    def freight_by_alias_or_name(
        self, text: str, projects: Iterable[str] | None, most: int = MAX_MATCHES
    ) -> list[FreightStatus]:
        """Return Freight in memory whose alias is `text` or starts with it, or whose name starts with it.

        The newest comes first. Only `projects` are searched; None means all.
        """
        wanted = text.strip().lower()
        if not wanted:
            return []
        names = list(self._freight) if projects is None else projects
        matches = [
            freight
            for project in names
            for freight in list(self._freight.get(project, {}).values())
            if freight.alias.startswith(wanted)
            or (len(wanted) >= MIN_NAME_LENGTH and freight.name.startswith(wanted))
        ]
        return sorted(matches, key=newest_first, reverse=True)[:most]

    def journey(self, project: str, warehouse: str, freight_name: str) -> StageJourney | None:
        """Return how far a piece of Freight is in the Stages of its Warehouse.

        Return None if Stages can't be read, or if there is no such Freight. A page waits for the Promotions of the
        Stages at most a second; until they are known, the journey isn't complete.
        """
        if not self.is_permitted:
            return None
        freight = self.freight(project, freight_name)
        if freight is None or freight.warehouse != warehouse:
            return None
        stages = self._stages.get(project, {})
        shown = sorted(upstreams_by_stage(stages.values(), warehouse))
        promotions, listed = self._history.of(project, shown, FIRST_LIST_SECONDS)
        config = self._config(project)
        pipeline = Pipeline(
            stages=stages,
            freight=self._freight_of((project, warehouse)) | {freight.name: freight},
            promotions=promotions,
            policies=config.promotion_policies if config else (),
            now=self._clock(),
            complete=listed,
        )
        return assess_journey(pipeline, freight)

    def outlines(self, freight: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], StageJourney]:
        """Return how far several pieces of Freight (project, Warehouse, name) are, for a list.

        Unlike `journey`, it asks nothing of the API server: Freight that isn't kept is left out, and of Promotions it
        knows what the Stages note, the current and the last one.
        """
        if not self.is_permitted:
            return {}
        journeys: dict[tuple[str, str, str], StageJourney] = {}
        pipelines: dict[WarehouseKey, Pipeline] = {}
        for project, warehouse, name in set(freight):
            status = self._freight.get(project, {}).get(name)
            if status is None or status.warehouse != warehouse:
                continue
            key = (project, warehouse)
            if key not in pipelines:
                config = self._config(project)
                pipelines[key] = Pipeline(
                    stages=self._stages.get(project, {}),
                    freight=self._freight_of(key),
                    promotions={},
                    policies=config.promotion_policies if config else (),
                    now=self._clock(),
                    complete=False,
                )
            journeys[project, warehouse, name] = assess_journey(pipelines[key], status)
        return journeys

    def _freight_of(self, key: WarehouseKey) -> dict[str, FreightStatus]:
        project, warehouse = key
        return {
            name: freight
            for name, freight in list(self._freight.get(project, {}).items())
            if freight.warehouse == warehouse
        }

    def _look_up(self, project: str, name: str) -> FreightStatus | None:
        """Read a piece of Freight from the API server, or return what was read a moment ago."""
        now, key = time.monotonic(), (project, name)
        known = self._looked_up.get(key)
        if known is not None and now - known.at < LOOKUP_SECONDS:
            return known.freight
        status, missing = None, False
        try:
            status = decode_freight_status(self._cluster().get(FREIGHTS, name, project))
        except ClusterError as error:
            log.debug("Cannot read the Freight %s of %s: %s", name, project, error)
            missing = isinstance(error, NotFound)
        with self._lock:
            if len(self._looked_up) >= MAX_LOOKUPS:
                self._looked_up.clear()
            self._looked_up[key] = _Lookup(now, status, missing)
        return status

    def _apply_stages(self, _: Resource, changes: list[Change]) -> None:
        by_project: dict[str, list[Change]] = defaultdict(list)
        for old, new in changes:
            by_project[(new or old).project].append((old, new))
        for project, theirs in by_project.items():
            with self._lock:
                self._stages[project] = _changed(self._stages.get(project, {}), theirs)
            self._note(project)

    def _apply_freight(self, _: Resource, changes: list[Change]) -> None:
        projects = set()
        with self._lock:
            for old, new in changes:
                freight: FreightStatus = new or old
                projects.add(freight.project)
                self._looked_up.pop((freight.project, freight.name), None)  # it is older than the change
                if new is None:
                    self._freight.get(freight.project, {}).pop(freight.name, None)
                else:
                    self._freight.setdefault(freight.project, {})[freight.name] = freight
        for project in projects:
            self._note(project)

    def _note(self, project: str) -> None:
        with self._lock:
            self._versions[project] += 1
        for listener in self._listeners:
            try:
                listener(project)
            except Exception:
                log.exception("A Stage listener failed")


def _changed(stages: Mapping[str, Stage], changes: Iterable[Change]) -> Mapping[str, Stage]:
    """Return the Stages by name after these changes. A new mapping, because other threads read the old one."""
    by_name = dict(stages)
    for old, new in changes:
        if old is not None:
            by_name.pop(old.name, None)
        if new is not None:
            by_name[new.name] = new
    return by_name
