"""Follows refreshes: looks at a Warehouse when the watch says that it has changed, or when patience ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.freight_watch import FreightWatch
from receivers.cluster.snapshot import WarehouseKey
from receivers.deliveries.log_writer import LogWriter, NotStored, Write, is_away
from receivers.kargo.artifacts import Freight
from receivers.kargo.outcomes import RefreshOutcome, RefreshState
from receivers.kargo.progress import assess, is_handled
from receivers.kargo.progress_states import Ended, Lookup, LookupNeeded, Progress, RetryNeeded, Waiting
from receivers.kargo.resources import WAREHOUSES, Resource, Warehouse
from receivers.models import Delivery, Refresh
from receivers.refreshes.history import (
    Followed,
    note_asked_again,
    note_end,
    note_lost,
    note_step,
    note_waiting,
)
from receivers.refreshes.lookups import Look, LookUp
from receivers.refreshes.retry_policy import Schedule
from receivers.refreshes.rollup import close_deliveries
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.work_queue import MOMENT, NEVER, Lane, Lanes

log = logging.getLogger(__name__)

AT_ONCE: Final = 200  # Warehouses in one round
LOOKS: Final = 4  # at one Warehouse in one round: each brings one more thing that had to be looked up
IDLE_SECONDS: Final = 0.25  # of waiting for something to become due, so that the process can stop
ASK_SECONDS: Final = 10.0  # for the patches of one round; what takes longer is seen by the next look
POSTPONED_SECONDS: Final = 5.0  # until the next look, when the cluster does not answer
ROWS_IN_ONE_WRITE: Final = 500
SHARED_WITHIN: Final = timedelta(seconds=30)  # from an attempt to those that it stands for, too


@dataclass(slots=True)
class _Round:
    """What one round has found out: rows to store, and Warehouses to ask again."""

    now: datetime
    news: dict[UUID, Followed] = field(default_factory=dict)
    to_ask: set[WarehouseKey] = field(default_factory=set)


class Follower:
    """Follows refreshes. `follow`, `note_change` and `note_freight` may be called by any thread, `work` by one."""

    def __init__(
        self,
        *,
        cache: ClusterCache,
        freight: FreightWatch,
        sender: RefreshSender,
        writer: LogWriter,
        schedule: Schedule,
        owner: UUID,
    ) -> None:
        self._cache = cache
        self._sender = sender
        self._writer = writer
        self._schedule = schedule
        self._owner = owner
        self._lanes = Lanes()
        self._looking = LookUp(cache.cluster, freight)
        self._end_listeners: list[Callable[[Refresh], None]] = []
        self._not_stored: dict[UUID, Refresh] = {}
        self._lock = threading.Lock()  # the writer's thread says what it could not store

    @property
    def room(self) -> int:
        """Return how many more refreshes may be followed by this process."""
        return self._lanes.room

    def __len__(self) -> int:
        """Return how many refreshes are followed."""
        return len(self._lanes)

    def follow_new(self, delivery: Delivery, refreshes: Iterable[Refresh]) -> None:
        """Follow what was just requested for a delivery, and mark it as ours; what there is no room for is not."""
        for refresh in refreshes:
            if refresh.state == RefreshState.REQUESTED and self._lanes.room:
                refresh.owner = self._owner
                self.follow([Followed.of(refresh, delivery)])

    def follow(self, refreshes: Iterable[Followed]) -> None:
        """Follow these; those that are followed already stay as they are."""
        for followed in refreshes:
            key = (followed.refresh.project, followed.refresh.warehouse)
            self._lanes.add(key, [followed], self._schedule.handled_within)
            # Kargo may have been quicker than we: then nothing changes any more that would wake us. Only now, for from
            # here on changes do.
            warehouse = self._cache.warehouse(*key)
            if warehouse is None or is_handled(followed.request, warehouse):
                self._lanes.wake(key, MOMENT)

    def note_change(self, resource: Resource, old: Warehouse | None, new: Warehouse | None) -> None:
        """Take note of a change in the cache. Our own annotation coming back is none."""
        if resource is WAREHOUSES and _has_moved(old, new):
            known = new or old
            if known is not None:
                self._lanes.note(known.key, old, new)

    def note_freight(self, freight: Freight) -> None:
        """Take note of new Freight."""
        self._lanes.wake((freight.project, freight.warehouse), MOMENT)

    def followed(self) -> list[UUID]:
        """Return the ids of all refreshes that are followed."""
        return self._lanes.ids()

    def leave(self, ids: Collection[UUID]) -> None:
        """Follow these no more, and write nothing of them: another process does."""
        self._lanes.leave(ids)
        with self._lock:
            for pk in ids:
                self._not_stored.pop(pk, None)

    def add_end_listener(self, listener: Callable[[Refresh], None]) -> None:
        """Have every refresh told that ends while this process follows it. Before the start."""
        self._end_listeners.append(listener)

    def stop(self) -> None:
        """Look nothing up any more."""
        self._looking.stop()

    def work(self) -> bool:
        """Look at what is due, waiting a moment for it. Returns whether there may be more at once."""
        due = self._lanes.take_due(AT_ONCE, IDLE_SECONDS)
        if due:
            if not self._cache.ready:
                self._postpone(key for key, _ in due)
                return True
            round_ = _Round(timezone.now())
            try:
                self._look_at(round_, due)
                self._ask_again(round_)
            finally:
                self._store([one.refresh for one in round_.news.values()])
        if self._not_stored and not self._writer.stuck:
            with self._lock:
                again, self._not_stored = list(self._not_stored.values()), {}
            self._store(again)
        return True

    def _look_at(self, round_: _Round, due: Sequence[tuple[WarehouseKey, Lane]]) -> None:
        """Look at these Warehouses, and again at those for which something had to be looked up."""
        looks = {key: Look() for key, _ in due}
        lanes = dict(due)
        for _ in range(LOOKS):
            needs = {key: self._judge_alone(round_, key, lanes[key], look) for key, look in looks.items()}
            needed = {key: need for key, need in needs.items() if need is not None}
            if not needed:
                return
            looks = {key: looks[key] for key in needed}
            failed = self._looking.look_up({key: (looks[key], need) for key, need in needed.items()})
            self._postpone(failed)
            looks = {key: look for key, look in looks.items() if key not in failed}
        self._postpone(looks)  # the Warehouse changes faster than we look; it will rest

    def _judge_alone(self, round_: _Round, key: WarehouseKey, lane: Lane, look: Look) -> Lookup | None:
        """Judge one Warehouse; what is odd about it must not hold up the others."""
        try:
            return self._judge(round_, key, lane, look)
        except Exception:
            log.exception("the refreshes of Warehouse %s/%s cannot be followed now", *key)
            self._postpone([key])
            return None

    def _judge(self, round_: _Round, key: WarehouseKey, lane: Lane, look: Look) -> Lookup | None:
        """Bring all refreshes of a Warehouse up to date; return what has to be looked up before that is done."""
        rows = self._lanes.rows(lane)
        warehouse = look.warehouse or (None if look.gone else self._cache.warehouse(*key))
        needs: set[Lookup] = set()
        due = NEVER
        for followed in rows:
            if warehouse is None:
                ended = Ended(RefreshOutcome.WAREHOUSE_DELETED, "the Warehouse was deleted")
                taken = Progress(ended)
            else:
                taken = assess(followed.request, self._looking.seen(warehouse, look, followed.request))
            if isinstance(taken.state, LookupNeeded):
                needs.add(taken.state.lookup)
                continue
            due = min(due, self._take(round_, followed, taken, look))
        self._drop_ended(key, rows)
        if due < NEVER:
            self._lanes.wake(key, due)
        return min(needs, key=list(Lookup).index, default=None)

    def _take(self, round_: _Round, followed: Followed, taken: Progress, look: Look) -> float:
        """Write one step into the row; return the seconds until this refresh has to be looked at again."""
        refresh, now, stand = followed.refresh, round_.now, taken.state
        news = note_step(followed, taken, now)
        if isinstance(stand, Waiting):
            seconds = self._seconds_left(followed, stand, now)
            if seconds > 0:
                news = note_waiting(followed, stand.reason) or news
                self._news(round_, followed, news=news)
                return seconds
            stand = stand.on_timeout
        if isinstance(stand, Ended):
            note_end(followed, stand, now)
            news = True
        elif isinstance(stand, RetryNeeded):
            freight = self._looking.freight_of(refresh, look)
            news = note_lost(followed, stand, freight, self._schedule, now) or news
        self._news(round_, followed, news=news)
        return self._until_next_attempt(round_, followed)

    def _drop_ended(self, key: WarehouseKey, rows: Iterable[Followed]) -> None:
        """Follow no more what has ended."""
        ended = [one for one in rows if one.refresh.state == RefreshState.ENDED]
        self._lanes.drop(key, ended)
        for one in ended:
            for tell in self._end_listeners:
                tell(one.refresh)

    def _until_next_attempt(self, round_: _Round, followed: Followed) -> float:
        """Return the seconds until the Warehouse is asked again for this refresh; have it asked now if it is time."""
        refresh = followed.refresh
        if refresh.next_attempt_at is None:
            return NEVER
        seconds = (refresh.next_attempt_at - round_.now).total_seconds()
        if seconds > 0:
            return seconds
        round_.to_ask.add((refresh.project, refresh.warehouse))
        return NEVER

    def _seconds_left(self, followed: Followed, waiting: Waiting, now: datetime) -> float:
        deadline = followed.deadline(waiting, self._schedule)
        left = (deadline - now).total_seconds() if deadline else 0.0
        # While the cluster is away, nobody can say that Kargo has not answered.
        return left if left > 0 or self._cache.is_current else POSTPONED_SECONDS

    def _news(self, round_: _Round, followed: Followed, *, news: bool) -> None:
        if news:
            round_.news[followed.refresh.pk] = followed

    def _ask_again(self, round_: _Round) -> None:
        """Ask Warehouses again, each once for all of its refreshes that wait for that, or would soon."""
        if not round_.to_ask or self._sender.paused:
            self._postpone(round_.to_ask)
            return
        for asked in self._sender.ask(sorted(round_.to_ask), ASK_SECONDS):
            now = timezone.now()
            rows = [one for one in self._lanes.of(asked.key) if _is_almost_due(one.refresh, now)]
            for followed in rows:
                note_asked_again(followed, asked, now)
                round_.news[followed.refresh.pk] = followed
            self._drop_ended(asked.key, rows)
            soon = MOMENT if asked.gone else self._schedule.handled_within
            self._lanes.wake(asked.key, soon if asked.requested_at or asked.gone else POSTPONED_SECONDS)

    def _store(self, rows: Sequence[Refresh]) -> None:
        for start in range(0, len(rows), ROWS_IN_ONE_WRITE):
            some = rows[start : start + ROWS_IN_ONE_WRITE]
            ended = {row.delivery_id for row in some if row.outcome}
            then = (partial(close_deliveries, ended),) if ended else ()
            keep = partial(self._store_later, some)
            try:
                self._writer.submit(Write(updates=some, then=then, can_wait=True, when_done=keep))
            except NotStored as error:
                keep(error)

    def _store_later(self, rows: Sequence[Refresh], error: Exception | None) -> None:
        """Keep what could not be stored until the database is back: many of these are followed no longer."""
        if isinstance(error, NotStored) or (error is not None and is_away(error)):
            log.warning("the stories of %d refreshes are not stored yet: %s", len(rows), error)
            with self._lock:
                self._not_stored.update((row.pk, row) for row in rows)

    def _postpone(self, keys: Iterable[WarehouseKey]) -> None:
        for key in keys:
            self._lanes.wake(key, POSTPONED_SECONDS)


def _is_almost_due(refresh: Refresh, now: datetime) -> bool:
    """Say whether a refresh shares an attempt that is made now: one that is planned for much later keeps its own."""
    return refresh.next_attempt_at is not None and refresh.next_attempt_at <= now + SHARED_WITHIN


def _has_moved(old: Warehouse | None, new: Warehouse | None) -> bool:
    if old is None or new is None:
        return True
    return (
        old.last_handled_refresh != new.last_handled_refresh
        or old.discovered_at != new.discovered_at
        or old.conditions != new.conditions
        or old.last_freight_id != new.last_freight_id
        or old.generation != new.generation
    )
