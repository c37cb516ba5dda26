"""The delivery log: a request to a receiver, and the projects that it concerns."""

from __future__ import annotations

import zlib
from typing import Any, ClassVar

from django.db import models
from django.urls import reverse

from kargoweb import tracing
from receivers.kargo.receiver_path import SUFFIX_LENGTH
from receivers.kargo.responses import MAX_BODY
from receivers.kargo.scopes import scope_name
from receivers.models.columns import (
    ADDRESS_LENGTH,
    NAME_LENGTH,
    OUTCOME_LENGTH,
    PATH_LENGTH,
    TEXT_LENGTH,
    TRACEPARENT_LENGTH,
)
from receivers.models.ids import new_id
from receivers.models.outcome import Origin, Outcome

# Bytes. Docker Hub's bodies have 1 to 10 KB, and the sender of a push doesn't wait for their compression.
COMPRESSED_FROM = 16 * 1024
COMPRESSION_LEVEL = 1  # 50 ms for 2 MiB of text; the default takes twice as long to save a tenth more

UNDERSTOOD = models.Q(push_id__isnull=False)
"""The deliveries whose body was parsed: they may have a repository and a tag."""

DOCKER_HUBS = models.Q(origin=Origin.PUSH) & ~models.Q(outcome=Outcome.TEST_REFUSED)
"""What Docker Hub sent: no redeliveries, and no tests, not even those with an invalid token."""

DROPPABLE_BODY = models.Q(stored_bytes__gt=0) & ~models.Q(outcome=Outcome.PENDING)
"""The deliveries with a stored body that no process needs to finish them."""

TESTS = models.Q(origin=Origin.TEST) | models.Q(outcome=Outcome.TEST_REFUSED)
"""Tests, including those with an invalid token."""


class Delivery(models.Model):
    """A request to a receiver and its outcome. Inserted before it is processed.

    `project` is `CLUSTER_SCOPE` for a cluster receiver. `status` is the HTTP status of the response, None while there
    is none; a delivery with an outcome but no status was finished after a restart, when the connection was closed.
    `push_id` is set if the body was parsed, and the deliveries of one push share it: Docker Hub sends one to each
    webhook, and several for a multi-platform image. `original` is the delivery that this one repeats, and `actor` the
    user who sent it, for tests and redeliveries. `warehouses` counts the Warehouses that it matched, `with_freight`
    those of them that have Freight with the push. `ended_at` is when the delivery and all of its refreshes had an
    outcome. `held_by` is the `Replica` that processes it. If there is none, any replica may take it up from `due_at`
    on.

    `body` has `body_size` bytes. `stored_body` has the `stored_bytes` of it that are stored: fewer if they are
    compressed, none if the body was dropped (`body_dropped`). `traceparent` is the W3C notation of the span that
    received it, empty without traces.

    `passed_on`: Kargo's own server is to process the request (`KARGOWEB_UPSTREAM`), and to authenticate it. Set before
    it is passed on. `authenticated` is False as long as nobody has verified the signature of such a request, so that
    kargoweb must not sign it.

    `details` has what a push has beside its columns, if anything: `names` (the normalized names of the repository),
    `tags` (further ones), `commit`, and `git`: whether it is one of commits. That of a request to a `generic` receiver
    has its `actions`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    received_at = models.DateTimeField()
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.PUSH)
    project = models.CharField(max_length=NAME_LENGTH, blank=True)
    receiver = models.CharField(max_length=NAME_LENGTH)
    kind = models.CharField(max_length=32)
    url_suffix = models.CharField(max_length=SUFFIX_LENGTH)
    repository = models.CharField(max_length=TEXT_LENGTH, blank=True)
    tag = models.CharField(max_length=TEXT_LENGTH, blank=True)
    media_type = models.CharField(max_length=TEXT_LENGTH, blank=True)
    pusher = models.CharField(max_length=TEXT_LENGTH, blank=True)
    pushed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=OUTCOME_LENGTH, choices=Outcome, default=Outcome.PENDING)
    reason = models.CharField(max_length=TEXT_LENGTH, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    push_id = models.UUIDField(null=True, blank=True)
    original = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="redeliveries", db_index=False
    )
    actor = models.CharField(max_length=TEXT_LENGTH, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    answer = models.CharField(max_length=TEXT_LENGTH, blank=True)
    duration_ms = models.FloatField(null=True, blank=True)
    warehouses = models.PositiveIntegerField(default=0)
    with_freight = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    held_by = models.UUIDField(null=True, blank=True)
    passed_on = models.BooleanField(default=False)
    authenticated = models.BooleanField(default=True)
    client_address = models.CharField(max_length=ADDRESS_LENGTH, blank=True)
    user_agent = models.CharField(max_length=TEXT_LENGTH, blank=True)
    path = models.CharField(max_length=PATH_LENGTH, blank=True)
    body_size = models.PositiveIntegerField(default=0)
    stored_bytes = models.PositiveIntegerField(default=0)
    traceparent = models.CharField(max_length=TRACEPARENT_LENGTH, blank=True)
    # Wide columns come last: SQLite reads a row from its start, and lists don't need them.
    details: models.JSONField[Any, Any] = models.JSONField(default=dict)
    verdicts: models.JSONField[Any, Any] = models.JSONField(default=list)
    headers: models.JSONField[Any, Any] = models.JSONField(default=list)
    stored_body = models.BinaryField(default=bytes)

    CHANGING: ClassVar = (
        "repository", "tag", "media_type", "pusher", "pushed_at",
        "outcome", "reason", "ended_at", "push_id", "status", "answer", "duration_ms", "warehouses", "with_freight",
        "due_at", "passed_on", "authenticated", "details", "verdicts",
    )  # fmt: skip

    repeats: int
    """How many deliveries announce the same push to the same receiver; only rows of a `DeliveryPage` have it."""

    class Meta:
        verbose_name_plural = "deliveries"
        indexes: ClassVar = [
            models.Index(fields=["-received_at", "-id"], name="delivery_newest"),
            models.Index(fields=["project", "receiver", "-received_at"], name="delivery_by_receiver"),
            # With the id, as lists are sorted. Otherwise SQLite reads all of `delivery_newest` if few rows qualify.
            models.Index(
                fields=["-received_at", "-id"],
                name="delivery_pending",
                condition=models.Q(outcome=Outcome.PENDING),
            ),
            models.Index(
                fields=["-received_at", "-id"],
                name="delivery_followed",
                condition=models.Q(outcome=Outcome.REFRESHED),
            ),
            models.Index(
                fields=["-received_at", "-id"],
                name="delivery_failed",
                condition=models.Q(outcome=Outcome.FAILED),
            ),
            # Partial, so that the insertion that a sender waits for doesn't update them, and with conditions without
            # parameters, which every database recognizes in a query.
            models.Index(
                fields=["push_id", "-received_at", "-id"], name="delivery_by_push", condition=UNDERSTOOD
            ),
            models.Index(
                fields=["repository", "-received_at"], name="delivery_by_repository", condition=UNDERSTOOD
            ),
            models.Index(
                fields=["repository", "tag", "-received_at"], name="delivery_by_tag", condition=UNDERSTOOD
            ),
            # For the search: people know a tag, and not always whose.
            models.Index(fields=["tag", "-received_at"], name="delivery_by_any_tag", condition=UNDERSTOOD),
            models.Index(
                fields=["outcome", "-received_at"],
                name="delivery_by_outcome",
                condition=models.Q(ended_at__isnull=False),
            ),
            models.Index(
                fields=["original"], name="delivery_by_original", condition=models.Q(original__isnull=False)
            ),
            # For the quotas, which read nothing but this index. It has the outcome because SQLite would otherwise
            # look for it in the row.
            models.Index(
                fields=["project", "receiver", "received_at", "stored_bytes", "outcome"],
                name="delivery_with_body",
                condition=DROPPABLE_BODY,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag} to {self.receiver_name}"

    def get_absolute_url(self) -> str:
        """Return the address of the delivery's page."""
        return reverse("delivery", args=[self.pk])

    @property
    def trace_id(self) -> str:
        """Return the id of the trace that it was received in; empty without one."""
        return tracing.trace_id(self.traceparent)

    @property
    def receiver_name(self) -> str:
        """The receiver with its project or `cluster`; for a request of the API, which has none, the project."""
        return (
            f"{scope_name(self.project)}/{self.receiver}"
            if self.receiver
            else f"API, {scope_name(self.project)}"
        )

    @property
    def body(self) -> bytes:
        """The body of the request, as far as it was read; empty if it was dropped."""
        stored = bytes(self.stored_body)
        if self.stored_bytes in {0, self.body_size}:
            return stored
        # With a limit, so that nobody who can write to the database or the spool can exhaust the memory.
        return zlib.decompressobj().decompress(stored, MAX_BODY)

    @body.setter
    def body(self, body: bytes) -> None:
        stored = zlib.compress(body, COMPRESSION_LEVEL) if len(body) >= COMPRESSED_FROM else body
        # The sizes tell whether a body is compressed, so it is only if that makes it smaller.
        self.stored_body = stored if len(stored) < len(body) else body
        self.body_size, self.stored_bytes = len(body), len(self.stored_body)

    @property
    def body_dropped(self) -> bool:
        """Say whether the body was dropped, because of a quota or its age."""
        return self.body_size > 0 and self.stored_bytes == 0


class ProjectDelivery(models.Model):
    """A project that a delivery to a cluster receiver concerns: one of its subscriptions uses the repository."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="concerned")
    project = models.CharField(max_length=NAME_LENGTH)
    received_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "project deliveries"
        indexes: ClassVar = [
            models.Index(fields=["project", "-received_at", "-delivery"], name="project_delivery_by_project"),
            models.Index(fields=["-received_at", "-delivery"], name="project_delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.project} {self.delivery_id}"
