"""URLs that requests came to: those of receivers, valid or retired, and those that never were one."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from receivers.kargo.receiver_path import SUFFIX_LENGTH
from receivers.kargo.scopes import scope_name
from receivers.models.columns import ADDRESS_LENGTH, NAME_LENGTH, TEXT_LENGTH


class ReceiverUrl(models.Model):
    """A receiver URL that is or was valid. Only a hash of the digest is stored, for it is a credential."""

    digest_hash = models.BinaryField(max_length=32, unique=True)
    url_suffix = models.CharField(max_length=SUFFIX_LENGTH)
    kind = models.CharField(max_length=32)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    receiver = models.CharField(max_length=NAME_LENGTH)
    first_seen_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "receiver URL"
        indexes: ClassVar = [models.Index(fields=["project", "receiver"], name="receiver_url_by_receiver")]

    def __str__(self) -> str:
        return f"{scope_name(self.project)}/{self.receiver} …{self.url_suffix}"


class UnknownCall(models.Model):
    """Requests to URLs that never belonged to a receiver, counted by kind, digest suffix and address. Bounded."""

    kind = models.CharField(max_length=32)
    url_suffix = models.CharField(max_length=SUFFIX_LENGTH)
    client_address = models.CharField(max_length=ADDRESS_LENGTH)
    user_agent = models.CharField(max_length=TEXT_LENGTH, blank=True)
    count = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "request to an unknown URL"
        verbose_name_plural = "requests to unknown URLs"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "url_suffix", "client_address"], name="unknown_call_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} …{self.url_suffix} from {self.client_address}"
