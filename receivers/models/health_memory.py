"""What the health checks remember: missed pushes, the controllers of Kargo, findings that a user muted."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from receivers.models.columns import NAME_LENGTH, TEXT_LENGTH


class MissedPush(models.Model):
    """Tags in a Docker Hub repository that Kargo found by polling, without a webhook delivery. Bounded.

    One row for each Warehouse and repository (the comparable name), with the last tag, the Freight that contains it,
    and the number of tags since the last delivery for the repository.
    """

    project = models.CharField(max_length=NAME_LENGTH)
    warehouse = models.CharField(max_length=NAME_LENGTH)
    repository = models.CharField(max_length=TEXT_LENGTH)
    tag = models.CharField(max_length=TEXT_LENGTH)
    freight = models.CharField(max_length=NAME_LENGTH)
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "missed pushes"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "warehouse", "repository"], name="missed_push_once")
        ]

    def __str__(self) -> str:
        return f"{self.project}/{self.warehouse} {self.repository}:{self.tag}"


class KargoController(models.Model):
    """A controller of Kargo, by shard (empty for the default one); its last heartbeat expires at `until`."""

    shard = models.CharField(max_length=NAME_LENGTH, primary_key=True, blank=True)
    until = models.DateTimeField()

    class Meta:
        verbose_name = "Kargo controller"

    def __str__(self) -> str:
        return self.shard or "default"


class Mute(models.Model):
    """A finding of the health checks that a user muted until it changes.

    `key` is that of the finding, and changes with it. `seen_at` is when the finding was last reported.
    """

    key = models.CharField(max_length=32, primary_key=True)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    user = models.CharField(max_length=TEXT_LENGTH)
    at = models.DateTimeField()
    note = models.CharField(max_length=TEXT_LENGTH, blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = "muted finding"

    def __str__(self) -> str:
        return f"{self.key} by {self.user}"
