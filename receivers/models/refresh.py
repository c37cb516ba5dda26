"""The refresh of a Warehouse that a delivery requested of Kargo, followed until its Freight exists."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState, RetryCause
from receivers.models.columns import NAME_LENGTH, OUTCOME_LENGTH, REASON_LENGTH, TEXT_LENGTH
from receivers.models.delivery import Delivery
from receivers.models.ids import new_id
from receivers.models.outcome import Outcome


class Refresh(models.Model):
    """The refresh of one Warehouse, requested for one delivery, and its outcome.

    `requested_at` is the time of the first attempt and `token` the value of the last one, which may be shared with
    refreshes for other deliveries; `attempts` counts all patches, `failed_requests` those in a row that the API server
    did not accept. `handled_at`, `discovered_at` and `ended_at` are when kargoweb observed it. `rediscovered` and
    `failure` are what it observed of the last attempt; `RefreshRequest` explains them.

    `next_attempt_at` is the time of the next attempt and `retry_cause` the reason for it, as long as it is planned.
    `retries` has the number of retries by `RetryCause`. `reason` is a sentence about the current state or the end.
    `digest` is that of the pushed tag, `freight` and `freight_alias` name the Freight that holds it. `history` is a
    list of {"at", "event", "text"} for people, the oldest first; `HistoryEvent` and `RefreshOutcome` have the codes.
    `held_by` is the `Replica` that tracks it; without one, any replica may take it up.
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
