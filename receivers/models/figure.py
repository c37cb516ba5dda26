"""Figures of the pushes of each hour, computed from the log and kept longer than its rows."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from receivers.models.columns import NAME_LENGTH, OUTCOME_LENGTH


class FigureScope(models.TextChoices):
    """Whom a figure is for."""

    ALL = "all"
    """Everyone who sees all projects and the cluster receivers."""

    PROJECT = "project"
    """The readers of one project (`CLUSTER_SCOPE`: the cluster receivers)."""

    RECEIVER = "receiver"


class HourlyFigure(models.Model):
    """How many pushes of an hour have one outcome, or became Freight within some seconds.

    `measure` is an outcome, or the number of a bucket of the histogram (`hourly_figures.bucket_measure`). `project`
    and `receiver` are empty where the scope has none. Computed by `deliveries.hourly_figures` from the log.
    """

    scope = models.CharField(max_length=8, choices=FigureScope)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    receiver = models.CharField(max_length=NAME_LENGTH, blank=True)
    hour = models.DateTimeField()
    measure = models.CharField(max_length=OUTCOME_LENGTH)
    count = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            # In the order of the queries: those of one scope, from some hour on.
            models.UniqueConstraint(
                fields=["scope", "project", "receiver", "hour", "measure"], name="hourly_figure_once"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["hour"], name="hourly_figure_by_hour")]

    def __str__(self) -> str:
        return f"{self.scope} {self.project}/{self.receiver} {self.hour}: {self.count} {self.measure}"


class RolledUpHour(models.Model):
    """An hour whose figures are computed: when, and how many of its pushes were in progress."""

    hour = models.DateTimeField(primary_key=True)
    computed_at = models.DateTimeField()
    unfinished = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.hour)
