"""Which process follows which refresh. Every row has one owner; those of a dead one are taken over."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from receivers.kargo.outcomes import RefreshState
from receivers.models import Refresh, Replica, storable
from receivers.refreshes.history import Followed
from receivers.refreshes.tracker import Follower

DEAD_AFTER: Final = timedelta(seconds=15)  # without a sign of life, seven of which are given in that time
FORGOTTEN_AFTER: Final = timedelta(days=1)  # a dead replica's row is of no use to anybody
CLAIMED: Final = 500  # refreshes taken over in one go
NAMESPACE: Final = UUID("6b617267-6f77-4562-8072-65706c696361")

_DELIVERY: Final = tuple(
    f"delivery__{name}"
    for name in ("repository", "tag", "media_type", "pusher", "pushed_at", "received_at", "origin")
)


def replica_id(port: int) -> UUID:
    """Return this process's id: the same after a restart, so that it finds at once what it followed before."""
    return uuid.uuid5(NAMESPACE, f"{platform.node()}:{port}")


class Owner:
    """This process among all those that serve."""

    def __init__(self, own_id: UUID, version: str) -> None:
        self.id = own_id
        self._version = version
        self._started_at = timezone.now()
        self._recovered = False
        self._shown_since: float | None = None
        self._shown_at = 0.0

    def show_life(self) -> bool:
        """Tell the others that we are alive; say whether they could have taken us for dead.

        The time is that of the database: clocks of several machines differ.
        """
        values = {
            "host": storable(platform.node()),
            "version": self._version,
            "started_at": self._started_at,
            "seen_at": Now(),
        }
        Replica.objects.update_or_create(pk=self.id, defaults=values)
        Replica.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()
        now, before = time.monotonic(), self._shown_at
        self._shown_at = now
        broken = self._shown_since is None or now - before >= DEAD_AFTER.total_seconds()
        if broken:
            self._shown_since = now
        return broken

    @property
    def _may_judge(self) -> bool:
        """Say whether we have shown life for so long that whoever did not is dead, and not just back like us."""
        since = self._shown_since
        return since is not None and self._shown_at - since >= DEAD_AFTER.total_seconds()

    def taken_by_others(self, ids: Sequence[UUID]) -> set[UUID]:
        """Return which of these refreshes others follow by now."""
        found: set[UUID] = set()
        for start in range(0, len(ids), CLAIMED):
            rows = Refresh.objects.filter(pk__in=ids[start : start + CLAIMED]).exclude(owner=None)
            found.update(rows.exclude(owner=self.id).values_list("pk", flat=True))
        return found

    def take_over(self, most: int) -> list[Followed]:
        """Take, and return, open refreshes that nobody follows; at most so many.

        The first time, those of this process's former life are among them, and some that it follows by now.
        """
        if not self._recovered:
            Refresh.objects.filter(owner=self.id, outcome="").update(owner=None)
            self._recovered = True
        free = Q(owner=None)
        if self._may_judge:
            alive = Replica.objects.filter(seen_at__gte=Now() - DEAD_AFTER).values_list("pk", flat=True)
            free |= ~Q(owner__in=[*alive, self.id])
        with transaction.atomic():
            rows = Refresh.objects.filter(free, outcome="").exclude(state=RefreshState.WAITING).order_by("pk")
            if connection.features.has_select_for_update_skip_locked:
                rows = rows.select_for_update(skip_locked=True, of=("self",))
            taken = list(rows.select_related("delivery").only(*_OWN, *_DELIVERY)[: min(most, CLAIMED)])
            if taken:
                Refresh.objects.filter(pk__in=[row.pk for row in taken]).update(owner=self.id)
        for row in taken:
            row.owner = self.id
        return [Followed.of(row, row.delivery) for row in taken]


_OWN: Final = tuple(field.name for field in Refresh._meta.concrete_fields)


class Adoption:
    """Takes over what nobody follows, in a process that has room. `work` is called by one thread, every few seconds."""

    def __init__(self, owner: Owner, follower: Follower) -> None:
        self._owner = owner
        self._follower = follower

    def work(self) -> bool:
        """Show life, and take over some. Returns whether there may be more at once."""
        if self._owner.show_life():
            self._follower.leave(self._owner.taken_by_others(self._follower.followed()))
        room = self._follower.room
        taken = self._owner.take_over(room) if room else []
        self._follower.follow(taken)
        return len(taken) == CLAIMED
