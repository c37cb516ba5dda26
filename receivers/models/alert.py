"""Alerts: what began to need action, whom to tell, and the messages and Kubernetes Events that tell it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from receivers.models.columns import NAME_LENGTH, OUTCOME_LENGTH, PATH_LENGTH, REASON_LENGTH, TEXT_LENGTH
from receivers.models.ids import new_id


class PushFailure(models.Model):
    """A delivery that ended with an outcome that needs action.

    Written by the commit that ends the delivery, so that no alert about it is lost, and deleted by the one that makes
    the alerts of it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    delivery = models.UUIDField()

    def __str__(self) -> str:
        return str(self.delivery)


class ChannelKind(models.TextChoices):
    """How a channel sends its messages."""

    SLACK = "slack", "Slack-compatible webhook"
    WEBHOOK = "webhook", "Signed webhook (JSON)"
    EMAIL = "email", "E-mail"


class AlertSeverity(models.TextChoices):
    """The least severity that a channel sends."""

    URGENT = "urgent", "Urgent only"
    WARNING = "warning", "Urgent and warnings"


class AlertChannel(models.Model):
    """Where alerts are sent. `project` is empty for a channel with the alerts of all projects and of kargoweb itself.

    `address` is a URL or e-mail addresses, `signing_key` the key of the signatures. Both are encrypted, and empty if
    `secret` names a Kubernetes Secret that has them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=ChannelKind)
    severity = models.CharField(max_length=10, choices=AlertSeverity, default=AlertSeverity.URGENT)
    address = models.TextField(blank=True)
    signing_key = models.TextField(blank=True)
    secret = models.CharField(max_length=NAME_LENGTH, blank=True)
    enabled = models.BooleanField(default=True)
    created_by = models.CharField(max_length=TEXT_LENGTH)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="alert_channel_once")
        ]

    def __str__(self) -> str:
        return f"{self.project or 'all projects'}: {self.name}"


class AlertEnd(models.TextChoices):
    """How an alert ended."""

    OPEN = "", "Open"
    RESOLVED = "resolved", "Resolved"
    MUTED = "muted", "Muted"
    REPLACED = "replaced", "Changed"
    """The same object has another problem now, with an alert of its own."""

    EXPIRED = "expired", "Expired"
    """It was never resolved, and is too old to watch."""


class Alert(models.Model):
    """Something that needs action, as the readers of a scope see it: a project, or (empty) everything.

    `key` identifies what is wrong, `subject` the object that it is wrong with. `path` is the page about it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=NAME_LENGTH, blank=True)
    key = models.CharField(max_length=100)
    subject = models.CharField(max_length=TEXT_LENGTH, blank=True)
    kind = models.CharField(max_length=10)
    severity = models.CharField(max_length=10, choices=AlertSeverity)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    title = models.CharField(max_length=TEXT_LENGTH)
    text = models.CharField(max_length=REASON_LENGTH, blank=True)
    path = models.CharField(max_length=PATH_LENGTH, blank=True)
    opened_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    end = models.CharField(max_length=10, choices=AlertEnd, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["scope", "key"], name="alert_open_once", condition=models.Q(ended_at=None)
            )
        ]
        indexes: ClassVar = [models.Index(fields=["ended_at"], name="alert_by_end")]

    def __str__(self) -> str:
        return self.title


class AlertMessage(models.Model):
    """A message to a channel, with one or more notices. Its id is the same for each attempt.

    `due_at` is when it is sent next, None if it was sent or given up. `answer` is what the other side last responded,
    or why it could not be reached.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="messages")
    title = models.CharField(max_length=TEXT_LENGTH)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    answer = models.CharField(max_length=TEXT_LENGTH, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["channel", "-created_at"], name="alert_message_by_channel"),
            models.Index(
                fields=["due_at"], name="alert_message_due", condition=models.Q(due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class AlertNotice(models.Model):
    """That an alert began, or ended, for one channel. Without a `message` it waits to be grouped into one."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="notices")
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="+")
    resolved = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    message = models.ForeignKey(AlertMessage, models.CASCADE, null=True, blank=True, related_name="notices")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["alert", "channel", "resolved"], name="alert_notice_once")
        ]

    def __str__(self) -> str:
        return f"{self.alert_id} to {self.channel_id}"


class WarehouseEvent(models.Model):
    """That a push failed for a Warehouse, or (`recovered`) became Freight after it had failed.

    It becomes a Kubernetes Event of the Warehouse. `reason` is the outcome. `name` is that of the Event, which
    several of the same Warehouse and reason share; it is empty until they were sent. `due_at` is when it is sent next,
    None if it was sent or given up. `watched` is set while a failed push may still become Freight.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    push_id = models.UUIDField()
    project = models.CharField(max_length=NAME_LENGTH)
    warehouse = models.CharField(max_length=NAME_LENGTH)
    recovered = models.BooleanField(default=False)
    reason = models.CharField(max_length=OUTCOME_LENGTH)
    text = models.CharField(max_length=REASON_LENGTH)
    at = models.DateTimeField(default=timezone.now)
    watched = models.BooleanField(default=True)
    name = models.CharField(max_length=NAME_LENGTH, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["push_id", "project", "warehouse", "recovered"], name="warehouse_event_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"], name="warehouse_event_due", condition=models.Q(due_at__isnull=False)
            ),
            models.Index(fields=["project", "warehouse", "reason"], name="warehouse_event_series"),
            models.Index(fields=["at"], name="warehouse_event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.project}/{self.warehouse}: {self.reason}"


class AlertDuty(models.Model):
    """The one row that the replica holds that sends alerts."""

    id = models.UUIDField(primary_key=True, editable=False)
    held_by = models.UUIDField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "alert duty"

    def __str__(self) -> str:
        return str(self.held_by)
