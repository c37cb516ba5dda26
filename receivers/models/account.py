"""What belongs to a user: API tokens, the identity at an OpenID Connect provider, saved views."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from receivers.models.columns import NAME_LENGTH
from receivers.models.ids import new_id


class TokenScope(models.TextChoices):
    """What an API token may do at most; the roles of its owner limit it further."""

    READ = "read", "Read"
    OPERATE = "operate", "Read, refresh, test, redeliver and mute"
    ADMIN = "admin", "Everything that you may do"


class ApiToken(models.Model):
    """A credential of a program that acts for a user.

    Only a hash of the token is stored: it has 256 random bits, so nobody can find it by guessing. `hint` is its end, by
    which people recognize it. `project` limits it to one project; it is empty for all of the owner's.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    secret_hash = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=4)
    scope = models.CharField(max_length=10, choices=TokenScope, default=TokenScope.READ)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} (...{self.hint})"

    @property
    def is_valid(self) -> bool:
        """Say whether the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or timezone.now() < self.expires_at)


class ProviderIdentity(models.Model):
    """Who a user is at the OpenID Connect provider: its address, and the subject that it never gives to another.

    `name` and `groups` are those of the last sign-in, as the provider spells them.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    issuer = models.TextField()
    subject = models.TextField()
    name = models.TextField(default="")
    groups = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "provider identities"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="provider_identity_once")
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class SavedView(models.Model):
    """A filter of a list that a person saved under a name. `page` is the URL name of the list."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    page = models.CharField(max_length=10, choices=[("pushes", "Pushes"), ("deliveries", "Deliveries")])
    name = models.CharField(max_length=40)
    query = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "page", "name"], name="saved_view_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.page}: {self.name}"
