"""What a request to a receiver asks for. A kind's `read` returns one of these, or raises.

A push (`receivers.kargo.push.Push`) refreshes Warehouses; `PullRequest` refreshes Promotions; `NothingToDo` is
answered at once; and `Selection` refreshes the Warehouses and Promotions that it selects itself (the kind `generic`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from receivers.kargo import responses
from receivers.kargo.promotion_targets import PromotionTarget
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.kargo.responses import WebhookResponse


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A closed pull request. Promotions whose step `git-wait-for-pr` waits for exactly this URL are refreshed."""

    url: str


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """An event that refreshes nothing, such as a ping; `reason` says so in a sentence for people."""

    response: WebhookResponse
    reason: str


class TargetsUnknown(Exception):
    """The targets in a receiver's scope can't be listed; the message says why."""


@dataclass(frozen=True, slots=True)
class ActionReport:
    """The result of an action of a receiver that selects its targets itself; `position` counts from 1.

    `result` is the word in Kargo's response, empty for an action that Kargo doesn't know. `targets` are the kind, the
    key, and whether the first request to refresh it was accepted. `problem` says in a sentence why it refreshed
    nothing, or not all; it may be empty. `failed`: it needs action, apart from Warehouses, whose refresh is retried.
    """

    position: int
    action: str
    result: str
    problem: str
    failed: bool
    targets: tuple[tuple[str, WarehouseKey, bool], ...] = ()

    @property
    def sentence(self) -> str:
        """Return the problem with the position of the action."""
        return f"action {self.position}: {self.problem}"


class Selection(Protocol):
    """The targets of a request whose receiver selects them itself."""

    def targets(
        self, warehouses: Iterable[Warehouse], promotions: Callable[[], Iterable[PromotionTarget]]
    ) -> tuple[Collection[WarehouseKey], Collection[WarehouseKey]]:
        """Return the keys of the Warehouses and of the Promotions to refresh, of those in the receiver's scope.

        `promotions` lists the Promotions in scope, and is called only if they are needed. It may raise
        `TargetsUnknown`, which fails the actions that need them.
        """
        ...

    def actions(
        self, failed_warehouses: Collection[WarehouseKey], failed_promotions: Collection[WarehouseKey]
    ) -> Sequence[ActionReport]:
        """Return the result of each action, after the targets that `targets` returned were refreshed, or not."""
        ...

    def response(
        self, failed_warehouses: Collection[WarehouseKey], failed_promotions: Collection[WarehouseKey]
    ) -> WebhookResponse:
        """Return the response, after the targets that `targets` returned were refreshed, or not."""
        ...


Event: TypeAlias = "Push | PullRequest | NothingToDo | Selection"


class Cause(StrEnum):
    """Why a request is refused."""

    SIGNATURE = "signature"
    """It does not prove that the sender knows the receiver's Secret."""

    EVENT = "event"
    """It is an event, or a sender, that the receiver does not support."""

    BODY = "body"
    """Its body is not what the sender's webhook posts."""


class Refused(Exception):
    """A request that is not processed: the response to it, and a sentence for people that says why."""

    def __init__(self, response: WebhookResponse, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.response = response
        self.cause = cause
        self.reason = reason


def unsupported_event(event: str, status: int = 400) -> Refused:
    """Return the refusal of an event that the kind does not support; `event` is its name as sent."""
    return Refused(
        responses.refused(status, f"event type {event} is not supported"),
        Cause.EVENT,
        f"events of the type {event!r} refresh nothing" if event else "the request does not name its event",
    )


PING: NothingToDo = NothingToDo(
    responses.message("ping event received, webhook is configured correctly"),
    "a ping: the sender can reach this receiver",
)


def ignored(reason: str) -> NothingToDo:
    """Return the event that Kargo answers with 200 and an empty object."""
    return NothingToDo(responses.NOTHING, reason)
