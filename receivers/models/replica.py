"""The serving processes, and the times in which none received pushes."""

from __future__ import annotations

from django.db import models

from receivers.models.columns import TEXT_LENGTH


class Replica(models.Model):
    """A serving process. If it isn't seen for a while, others take over the deliveries and refreshes that it held.

    `base_url` is its `KARGOWEB_BASE_URL`, for commands that run beside it with other settings.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=TEXT_LENGTH)
    version = models.CharField(max_length=40)
    base_url = models.CharField(max_length=TEXT_LENGTH, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.host} {self.version}"


class Downtime(models.Model):
    """A time in which pushes were not received, because no process ran, or because they could not be stored.

    `since` identifies it, so that several processes that notice the same one store one row. `caught_up_at` is when the
    refreshes that make up for it were planned.
    """

    since = models.DateTimeField(unique=True)
    until = models.DateTimeField()
    caught_up_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.since} to {self.until}"
