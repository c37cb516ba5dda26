"""The delivery log: the requests, the responses, and the refreshes that they requested of Kargo."""

from __future__ import annotations

import random
import threading
import time
import uuid
import zlib
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from kargoweb import tracing
from receivers.kargo.receiver_path import SUFFIX_LENGTH
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState, RetryCause
from receivers.kargo.responses import MAX_BODY
from receivers.kargo.scopes import scope_name

NAME_LENGTH = 253  # a DNS-1123 subdomain, the longest name Kubernetes takes
PATH_LENGTH = 1024
ADDRESS_LENGTH = 64
OUTCOME_LENGTH = 32
TRACEPARENT_LENGTH = 55  # of version 00
REASON_LENGTH = 1024  # a message of Kargo's, which may hold the addresses and errors of several registries
TEXT_LENGTH = 255  # what people and registries write; longer text is clipped, the raw body keeps it whole
# Bytes. Docker Hub's bodies have 1 to 10 KB, and the sender of a push doesn't wait for their compression.
COMPRESSED_FROM = 16 * 1024
COMPRESSION_LEVEL = 1  # 50 ms for 2 MiB of text; the default takes twice as long to save a tenth more


_id_lock = threading.Lock()
_last_id = 0  # without version and variant: 48 bits of milliseconds, 74 that are random or count


def new_id() -> uuid.UUID:
    """Return a new UUID of version 7, greater than every one that this process returned before.

    Ids of several processes sort by time only as far as their clocks agree, and in random order within a millisecond.
    Compare times where the order matters, and ids only to break a tie. Source: RFC 9562, sections 5.7 and 6.2.
    """
    global _last_id  # noqa: PLW0603 - the counter of this process
    milliseconds = time.time_ns() // 1_000_000
    with _id_lock:
        # Not a secret, so not from the operating system: a system call hands the interpreter to another thread.
        if milliseconds > _last_id >> 74:
            _last_id = milliseconds << 74 | random.getrandbits(74)
        else:
            # The same millisecond, or a clock that was set back. A carry out of the random bits borrows the next one.
            _last_id += 1 + random.getrandbits(32)
        number = _last_id
    return uuid.UUID(
        int=number >> 74 << 80
        | 0x7 << 76
        | (number >> 62 & 0xFFF) << 64
        | 0b10 << 62
        | number & (1 << 62) - 1
    )


def first_id(at: datetime) -> uuid.UUID:
    """Return a lower bound of the ids that `new_id` returns from that time on, by the same clock."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)


def storable(text: str, length: int = TEXT_LENGTH) -> str:
    """Return `text` cut to `length` characters and without NUL, which PostgreSQL rejects."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= length else text[: length - 1] + "…"


UNDERSTOOD = models.Q(push_id__isnull=False)
"""The deliveries whose body was parsed: they may have a repository and a tag."""


class Origin(models.TextChoices):
    """Where a delivery comes from."""

    PUSH = "push"
    TEST = "test"
    REDELIVERY = "redelivery"
    API = "api", "API"
    """A request of the API to refresh Warehouses, of a script or a registry that sends no webhook."""
    CATCH_UP = "catch-up"
    """No request: the refresh of one Warehouse after a time in which pushes were not received."""


class Outcome(models.TextChoices):
    """The outcome of a delivery, or its current state.

    The last fifteen are those of refreshes (`RefreshOutcome`, which has the same codes): once all refreshes of a
    delivery have ended, it has the outcome of the one that most needs action.
    """

    PENDING = "pending", "Pending"
    """Stored, without an outcome yet: it is being processed, or the process died and another one resumes it."""

    REFRESHED = "refreshed", "Refreshed"
    """Every matching Warehouse was refreshed; kargoweb tracks each refresh until it ends."""

    NO_MATCH = "no_match", "No match"
    """No subscription in scope matches the push; the verdicts say why."""

    INVALID_SUBSCRIPTION = "invalid_subscription", "Invalid subscription"
    """No subscription matches the push, but one that uses the repository can't be evaluated."""

    NO_REPOSITORY = "no_repository", "No repository"
    """The body is valid but names no repository, so there was nothing to match; Kargo answers it like no match."""

    INVALID_BODY = "invalid_body", "Invalid body"
    """The body is not what this kind of sender posts; the reason is stored with the delivery."""

    TOO_LARGE = "too_large", "Too large"
    """The body is longer than `responses.MAX_BODY`; only its beginning was read."""

    RETIRED_URL = "retired_url", "Retired URL"
    """The digest once belonged to a receiver: its Secret was rotated, or it was renamed or removed."""

    UNSUPPORTED_KIND = "unsupported_kind", "Unsupported kind"
    """The receiver is of a kind that Kargo supports and kargoweb does not."""

    COLLISION = "collision", "Collision"
    """Two receivers share the digest, so nothing says which one was meant; no Warehouse was refreshed."""

    FAILED = "failed", "Failed"
    """The request to refresh failed for at least one matching Warehouse; it is retried in the background."""

    TEST_REFUSED = "test_refused", "Test refused"
    """The delivery claimed to be a test, but its token was invalid, as the reason says; nothing was refreshed."""

    DRY_RUN = "dry_run", "Dry run"
    """A test that evaluates only; the verdicts say what a push would have refreshed."""

    UNAUTHORIZED = "unauthorized", "Not authenticated"
    """The signature or token of the request is missing or wrong; its body was not read."""

    SECRET_UNREADABLE = "secret_unreadable", "Secret not readable"
    """The request can't be authenticated, because kargoweb could not read the receiver's Secret."""

    UNSUPPORTED_EVENT = "unsupported_event", "Unsupported event"
    """The provider sent an event that no receiver of this kind takes, in Kargo either."""

    IGNORED = "ignored", "Ignored event"
    """The event is known and refreshes nothing, such as a ping, or a pull request that nothing waits for."""

    PROMOTIONS_REFRESHED = "promotions_refreshed", "Promotions refreshed"
    """A pull request was closed, and the Promotions that waited for it were refreshed."""

    PROMOTIONS_FAILED = "promotions_failed", "Promotions not refreshed"
    """The Promotions that wait for a closed pull request could not be found or refreshed."""

    ACTION_FAILED = "action_failed", "Action not evaluated"
    """A `generic` receiver selected nothing, and an expression or a selector of it could not be evaluated."""

    FORWARDED = "forwarded", "Passed on to Kargo"
    """The request was passed on to Kargo's own server (`KARGOWEB_UPSTREAM`), whose answer is stored."""

    FORWARD_FAILED = "forward_failed", "Not passed on"
    """Kargo's own server could not be reached, did not answer in time, or is kargoweb itself."""

    NOT_REQUESTED = RefreshOutcome.NOT_REQUESTED.value, "Not requested"
    NOT_HANDLED = RefreshOutcome.NOT_HANDLED.value, "Not handled"
    DISCOVERY_FAILED = RefreshOutcome.DISCOVERY_FAILED.value, "Discovery failed"
    FREIGHT_FAILED = RefreshOutcome.FREIGHT_FAILED.value, "Freight failed"
    TAG_NOT_VISIBLE = RefreshOutcome.TAG_NOT_VISIBLE.value, "Tag not visible"
    WAREHOUSE_DELETED = RefreshOutcome.WAREHOUSE_DELETED.value, "Warehouse deleted"
    NO_LONGER_SELECTED = RefreshOutcome.NO_LONGER_SELECTED.value, "No longer selected"
    ARTIFACTS_MISSING = RefreshOutcome.ARTIFACTS_MISSING.value, "Artifacts missing"
    BEYOND_DISCOVERY_LIMIT = RefreshOutcome.BEYOND_DISCOVERY_LIMIT.value, "Beyond the discovery limit"
    CRITERIA_NOT_MET = RefreshOutcome.CRITERIA_NOT_MET.value, "Criteria not met"
    MANUAL_CREATION_POLICY = RefreshOutcome.MANUAL_CREATION_POLICY.value, "Manual creation policy"
    NOT_NEWEST = RefreshOutcome.NOT_NEWEST.value, "Not the newest"
    TEST_PASSED = RefreshOutcome.TEST_PASSED.value, "Test passed"
    ALREADY_CURRENT = RefreshOutcome.ALREADY_CURRENT.value, "Already current"
    FREIGHT_CREATED = RefreshOutcome.FREIGHT_CREATED.value, "Freight created"


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
    compressed, none if the body was dropped (`body_dropped`).

    `details` has what a push has beside its columns, if anything: `names` (the normalized names of the repository),
    `tags` (further ones), `commit`, and `git`: whether it is one of commits.
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
        "details", "verdicts",
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


class Refresh(models.Model):
    """The refresh of one Warehouse, requested for one delivery, and its outcome.

    `requested_at` is the time of the first attempt and `token` the value of the last one, which may be shared with
    refreshes for other deliveries; `attempts` counts all patches, `failed_requests` those in a row that the API server
    did not accept. `handled_at`, `discovered_at` and `ended_at` are when kargoweb observed it. `rediscovered` and
    `failure` are what it observed of the last attempt; `RefreshRequest` explains them.

    `next_attempt_at` is the time of the next attempt and `retry_cause` the reason for it, as long as it is planned.
    `retries` has the number of retries by `RetryCause`. `reason` is a sentence about the current state or the end.
    `digest` is that of the pushed tag, `freight` and `freight_alias` name the Freight that holds it. `history` is a
    list of {"at", "event", "text"} for people, the oldest first; `deliveries.events.HistoryEvent` and `RefreshOutcome`
    have the codes. `held_by` is the `Replica` that tracks it; without one, any replica may take it up.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="refreshes")
    project = models.CharField(max_length=NAME_LENGTH)
    warehouse = models.CharField(max_length=NAME_LENGTH)
    state = models.CharField(
        max_length=16,
        choices=[(state.value, state.value.capitalize()) for state in RefreshState],
        default=RefreshState.WAITING,
    )
    outcome = models.CharField(
        max_length=OUTCOME_LENGTH,
        choices=[(code.value, Outcome(code).label) for code in RefreshOutcome],
        blank=True,
    )
    reason = models.CharField(max_length=REASON_LENGTH, blank=True)
    token = models.CharField(max_length=40, blank=True)
    discovered_before = models.CharField(max_length=40, blank=True)
    rediscovered = models.BooleanField(null=True, blank=True)
    failure = models.CharField(max_length=REASON_LENGTH, blank=True)
    requested_at = models.DateTimeField(null=True, blank=True)
    handled_at = models.DateTimeField(null=True, blank=True)
    discovered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=TEXT_LENGTH, blank=True)
    freight = models.CharField(max_length=NAME_LENGTH, blank=True)
    freight_alias = models.CharField(max_length=TEXT_LENGTH, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    failed_requests = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    retry_cause = models.CharField(
        max_length=OUTCOME_LENGTH, choices=[(code.value, code.value) for code in RetryCause], blank=True
    )
    retries: models.JSONField[Any, Any] = models.JSONField(default=dict)
    error = models.CharField(max_length=TEXT_LENGTH, blank=True)
    held_by = models.UUIDField(null=True, blank=True)
    history: models.JSONField[Any, Any] = models.JSONField(default=list)

    CHANGING: ClassVar = (
        "state", "outcome", "reason", "token", "discovered_before", "rediscovered", "failure",
        "requested_at", "handled_at", "discovered_at", "ended_at", "digest", "freight", "freight_alias",
        "attempts", "failed_requests", "next_attempt_at", "retry_cause", "retries", "error", "held_by", "history",
    )  # fmt: skip

    class Meta:
        verbose_name_plural = "refreshes"
        indexes: ClassVar = [
            models.Index(fields=["project", "warehouse", "-id"], name="refresh_by_warehouse"),
            # For the search. Not partial: SQLite would not recognize the condition that a text isn't empty.
            models.Index(fields=["digest"], name="refresh_by_digest"),
            models.Index(fields=["freight"], name="refresh_by_freight"),
            models.Index(fields=["freight_alias"], name="refresh_by_alias"),
            models.Index(fields=["held_by"], name="refresh_open", condition=models.Q(outcome="")),
            models.Index(
                fields=["project", "-ended_at"],
                name="refresh_freight",
                condition=models.Q(outcome=RefreshOutcome.FREIGHT_CREATED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project}/{self.warehouse} {self.outcome or self.state}"


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


class Replica(models.Model):
    """A serving process. If it isn't seen for a while, others take over the deliveries and refreshes that it held."""

    id = models.UUIDField(primary_key=True, editable=False)
    host = models.CharField(max_length=TEXT_LENGTH)
    version = models.CharField(max_length=40)
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
    client_address = models.CharField(max_length=64)
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

    def __str__(self) -> str:
        return str(self.held_by)
