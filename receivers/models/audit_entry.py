"""The audit log: what users did, or tried to."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from receivers.models.columns import ADDRESS_LENGTH, NAME_LENGTH, TEXT_LENGTH
from receivers.models.ids import new_id


class AuditAction(models.TextChoices):
    """What the audit log records."""

    SIGN_IN = "sign_in", "Signed in"
    SIGN_OUT = "sign_out", "Signed out"
    SIGN_IN_FAILED = "sign_in_failed", "Failed to sign in"
    REVEAL_URL = "reveal_url", "Revealed a URL"
    TEST_FIRE = "test_fire", "Sent a test push"
    REDELIVER = "redeliver", "Redelivered"
    REFRESH = "refresh", "Refreshed Warehouses"
    MUTE = "mute", "Muted a finding"
    UNMUTE = "unmute", "Unmuted a finding"
    CHANGE_PASSWORD = "change_password", "Changed their password"
    CREATE_TOKEN = "create_token", "Created an API token"
    REVOKE_TOKEN = "revoke_token", "Revoked an API token"
    CHANGE_USERS = "change_users", "Changed users"
    CREATE_RECEIVER = "create_receiver", "Created a receiver"
    MANAGE_ALERTS = "manage_alerts", "Changed alerts"


class Audit(models.Model):
    """An action of a user, or an attempt. `project` and `receiver` are empty if the action concerns neither.

    `user` and `delivery` are not foreign keys: the entry outlives both.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField()
    user = models.CharField(max_length=TEXT_LENGTH)
    action = models.CharField(max_length=32, choices=AuditAction)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    receiver = models.CharField(max_length=NAME_LENGTH, blank=True)
    delivery = models.UUIDField(null=True, blank=True)
    detail = models.CharField(max_length=TEXT_LENGTH, blank=True)
    address = models.CharField(max_length=ADDRESS_LENGTH, blank=True)

    class Meta:
        verbose_name = "audit log entry"
        verbose_name_plural = "audit log"
        indexes: ClassVar = [
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["address", "action", "-at"], name="audit_by_address"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.action}"
