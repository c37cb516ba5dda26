"""What becomes of a request, and how it is recorded on the delivery."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from receivers.cluster.errors import ClusterError
from receivers.cluster.snapshot import Route
from receivers.kargo import responses
from receivers.kargo.coverage import DOCKER_HUB
from receivers.kargo.kinds import KINDS, Refused
from receivers.kargo.kinds.events import ActionReport, Cause, NothingToDo, PullRequest, Selection
from receivers.kargo.kinds.senders import resembled_sender
from receivers.kargo.matching import Verdict
from receivers.kargo.push import Push
from receivers.kargo.quoting import listed
from receivers.kargo.resources import Warehouse
from receivers.kargo.responses import WebhookResponse
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Outcome, storable
from receivers.refreshes.promotion_refresher import PromotionResult
from receivers.refreshes.sender import RequestResult
from receivers.webhook.match_report import MatchReport

NAMES_KEPT: Final = 10
TAGS_KEPT: Final = 50  # further tags of one request, which are shown
FILES_KEPT: Final = 20  # changed files of a commit, which are shown
ACTIONS_KEPT: Final = 50  # of one request; more than people write
TARGETS_KEPT: Final = (
    50  # of one action: a selector may select every Warehouse, and their refreshes name them anyway
)


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """The result of a request, before it is recorded. `requests` has one entry for each matching Warehouse.

    `actions` are those of a `generic` receiver. `retry_after`: the request is to be processed again, after that many
    seconds at the earliest; None if its result is final.
    """

    outcome: Outcome
    response: WebhookResponse
    reason: str = ""
    verdicts: Sequence[Verdict] = ()
    requests: Sequence[RequestResult] = ()
    actions: Sequence[ActionReport] = ()
    retry_after: float | None = None

    @property
    def all_failed(self) -> bool:
        """Say whether Warehouses matched and the request to refresh failed for every one of them."""
        return bool(self.requests) and all(request.attempt is None for request in self.requests)


def retired_url(
    reason: str = "this is an old URL of the receiver; its Secret or name has changed",
) -> IntakeResult:
    """Return the result of a request to a URL that once belonged to a receiver."""
    return IntakeResult(Outcome.RETIRED_URL, responses.NOT_FOUND, f"not evaluated: {reason}")


def explained(rejection: IntakeResult, report: MatchReport) -> IntakeResult:
    """Return the result of a rejected push with what it would have matched otherwise."""
    would = f"it would have refreshed {_warehouses(len(report.to_refresh))}"
    return replace(rejection, reason=f"{rejection.reason}; {would}", verdicts=report.verdicts)


def collision(routes: Sequence[Route]) -> IntakeResult:
    """Return the result of a request to a URL that several receivers share.

    The reason names those of the first one's project, for its readers may not see the others, and counts the rest.
    """
    project = routes[0].project
    own = [f"{scope_name(project)}/{route.receiver}" for route in routes if route.project == project]
    others = len(routes) - len(own)
    sharers = ", ".join([*own, *([f"{others} receiver(s) of other projects"] if others else [])])
    return IntakeResult(Outcome.COLLISION, responses.NOT_FOUND, f"{sharers} share one URL")


def unsupported_kind(kind: str) -> IntakeResult:
    """Return the result of a request to a receiver of a kind that kargoweb doesn't support."""
    reason = f"kargoweb does not support {kind} receivers"
    return IntakeResult(Outcome.UNSUPPORTED_KIND, responses.NOT_FOUND, reason)


def body_too_large() -> IntakeResult:
    """Return the result of a request with more than `responses.MAX_BODY` bytes."""
    reason = f"the body is larger than {responses.MAX_BODY} bytes"
    return IntakeResult(Outcome.TOO_LARGE, responses.TOO_LARGE, reason)


def invalid_body(reason: str, body: bytes = b"", kind: str = "") -> IntakeResult:
    """Return the result of a request whose body is incomplete, or not what the sender's webhook posts."""
    return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, _with_sender(reason, body, kind))


_OUTCOMES: Final = {
    Cause.SIGNATURE: Outcome.UNAUTHORIZED,
    Cause.EVENT: Outcome.UNSUPPORTED_EVENT,
    Cause.BODY: Outcome.INVALID_BODY,
}


def refused(refusal: Refused) -> IntakeResult:
    """Return the result of a request that its kind refuses."""
    return IntakeResult(_OUTCOMES[refusal.cause], refusal.response, refusal.reason)


def secret_unreadable(reason: str) -> IntakeResult:
    """Return the result of a request that can't be authenticated; Kargo answers it the same way."""
    return IntakeResult(Outcome.SECRET_UNREADABLE, responses.ERROR, reason)


def nothing_to_do(event: NothingToDo) -> IntakeResult:
    """Return the result of an event that refreshes nothing."""
    return IntakeResult(Outcome.IGNORED, event.response, event.reason)


def promotions(url: str, refreshed: PromotionResult) -> IntakeResult:
    """Return the result of a closed pull request."""
    total, failures = len(refreshed.keys), len(refreshed.failed)
    if failures:
        reason = f"{failures} of {total} Promotions were not refreshed: {refreshed.error}"
        response = responses.failed_promotions(failures, total)
        return IntakeResult(Outcome.PROMOTIONS_FAILED, response, reason, retry_after=refreshed.retry_after)
    if not total:
        reason = f"no running Promotion waits for the pull request {url}"
        return IntakeResult(Outcome.IGNORED, responses.refreshed_promotions(0), reason)
    names = listed([f"{project}/{name}" for project, name in refreshed.keys])
    reason = f"the pull request {url} was closed: refreshed {names}"
    return IntakeResult(Outcome.PROMOTIONS_REFRESHED, responses.refreshed_promotions(total), reason)


def promotions_unknown(error: ClusterError) -> IntakeResult:
    """Return the result of a closed pull request if the Promotions can't be listed."""
    reason = f"Promotions can't be listed: {error}"
    # While it is retried, the delivery is in progress; a missing permission must be seen at once.
    retry_after = (error.retry_after or 0.0) if error.transient else None
    return IntakeResult(Outcome.PROMOTIONS_FAILED, responses.ERROR, reason, retry_after=retry_after)


def forward_interrupted() -> IntakeResult:
    """Return the result of a request that was, or was about to be, passed on when the process ended."""
    reason = "kargoweb ended before Kargo's server answered, which may have processed the request or not"
    return IntakeResult(Outcome.FORWARD_FAILED, responses.UNAVAILABLE, reason)


def dry_run_without_push(event: NothingToDo | PullRequest) -> IntakeResult:
    """Return the result of a dry run of an event other than a push."""
    reason = event.reason if isinstance(event, NothingToDo) else f"the pull request {event.url} was closed"
    return IntakeResult(Outcome.DRY_RUN, responses.refreshed(0), reason)


def dry_run_of(selection: Selection, warehouses: Iterable[Warehouse]) -> IntakeResult:
    """Return the result of a test that evaluates only, of a request whose receiver selects its targets itself."""
    keys, _ = selection.targets(warehouses, tuple)
    actions = selection.actions((), ())
    reason = _problems(actions) or f"{_warehouses(len(keys))} would have been refreshed"
    return IntakeResult(Outcome.DRY_RUN, responses.refreshed(0), reason, actions=actions)


def selected(
    response: WebhookResponse,
    requests: Sequence[RequestResult],
    promotions: PromotionResult,
    actions: Sequence[ActionReport],
) -> IntakeResult:
    """Return the result of a request whose receiver selects its targets itself.

    What failed decides. While Warehouses are refreshed the delivery is in progress; `refreshes.rollup` adds the actions
    that failed to its end.
    """
    reason = _problems(actions)
    failures = [request for request in requests if request.attempt is None]
    if failures:
        outcome, reason = Outcome.FAILED, failures[0].error
    elif requests:
        outcome = Outcome.REFRESHED
    elif promotions.failed:
        outcome, reason = Outcome.PROMOTIONS_FAILED, promotions.error
    elif any(action.failed for action in actions):
        outcome = Outcome.ACTION_FAILED
    elif promotions.keys:
        outcome = Outcome.PROMOTIONS_REFRESHED
    else:
        outcome, reason = Outcome.IGNORED, reason or "no action of the receiver selects anything"
    return IntakeResult(outcome, response, reason, requests=requests, actions=actions)


def _problems(actions: Sequence[ActionReport]) -> str:
    """Return what the actions did not do, in a sentence; empty if all of them select targets."""
    if not actions:
        return "the receiver has no actions"
    return "; ".join(action.sentence for action in actions if action.problem)


def refused_test(reason: str) -> IntakeResult:
    """Return the result of a request with an invalid test token."""
    return IntakeResult(Outcome.TEST_REFUSED, responses.refused_test(reason), reason)


def dry_run(report: MatchReport) -> IntakeResult:
    """Return the result of a test that evaluates only."""
    would = f"{_warehouses(len(report.to_refresh))} would have been refreshed"
    return IntakeResult(
        Outcome.DRY_RUN, responses.refreshed(0), report.why_no_match or would, report.verdicts
    )


def no_match(report: MatchReport) -> IntakeResult:
    """Return the result of a push that refreshes nothing, because no subscription matches or one is invalid."""
    outcome = Outcome.INVALID_SUBSCRIPTION if report.is_not_evaluable else Outcome.NO_MATCH
    return IntakeResult(outcome, responses.refreshed(0), report.why_no_match, report.verdicts)


def no_repository(body: bytes, kind: str) -> IntakeResult:
    """Return the result of a valid body without a repository."""
    field = "repository.repo_name is missing or empty"
    reason = _with_sender(field if kind == DOCKER_HUB else "the body names no repository", body, kind)
    return IntakeResult(Outcome.NO_REPOSITORY, responses.refreshed(0), reason)


def _with_sender(reason: str, body: bytes, kind: str) -> str:
    sender = resembled_sender(body)
    if kind in KINDS and kind != DOCKER_HUB and KINDS[kind].title in sender and "form" not in sender:
        return reason
    return f"{reason}; the body looks like {sender}" if sender else reason


def _warehouses(count: int) -> str:
    return f"{count} {'Warehouse' if count == 1 else 'Warehouses'}"


def refreshed(report: MatchReport, requests: Sequence[RequestResult]) -> IntakeResult:
    """Return the result of a push after the first request to refresh each matching Warehouse."""
    failures = [request for request in requests if request.attempt is None]
    if not failures:
        response = responses.refreshed(len(requests))
        return IntakeResult(Outcome.REFRESHED, response, "", report.verdicts, requests)
    if all(request.unreachable for request in requests):
        response = responses.ERROR
    else:
        response = responses.failed(len(failures), len(requests))
    return IntakeResult(Outcome.FAILED, response, failures[0].error, report.verdicts, requests)


def record_push(delivery: Delivery, push: Push) -> None:
    """Set what was pushed."""
    delivery.repository, delivery.tag = storable(push.repository), storable(push.tag)
    delivery.media_type, delivery.pusher = storable(push.media_type), storable(push.pusher)
    delivery.pushed_at = push.pushed_at
    details: dict[str, Any] = {
        "names": None if push.normalized is None else [storable(name) for name in push.names[:NAMES_KEPT]],
        "tags": [storable(tag) for tag in push.tags[1 : TAGS_KEPT + 1]],
        "commit": storable(push.commit),
        "git": push.is_git,
        "files": [storable(name) for name in push.files[:FILES_KEPT]],
        "files_left_out": max(0, len(push.files) - FILES_KEPT),
    }
    delivery.details = {name: value for name, value in details.items() if value}


def record_response(delivery: Delivery, response: WebhookResponse, started: float) -> None:
    """Set the response to a delivery and the milliseconds since `started` (in `time.monotonic` seconds)."""
    delivery.status = response.status
    delivery.answer = storable(response.body.decode("utf-8", "replace").rstrip("\n"))
    delivery.duration_ms = (time.monotonic() - started) * 1000


def record_result(delivery: Delivery, result: IntakeResult) -> None:
    """Set the outcome of a delivery, and its end if it requested no refresh."""
    delivery.outcome, delivery.reason = result.outcome, storable(result.reason)
    delivery.warehouses = len(result.requests)
    if not result.requests:
        delivery.ended_at = timezone.now()
    delivery.verdicts = [storable_verdict(verdict) for verdict in result.verdicts]
    if result.actions:
        delivery.details = delivery.details | {
            "actions": [storable_action(action) for action in result.actions[:ACTIONS_KEPT]]
        }


def record_failed_attempt(delivery: Delivery, result: IntakeResult, failed: int, due_at: datetime) -> None:
    """Set why a delivery is processed again, how many attempts have failed, and when the next one is due."""
    delivery.reason, delivery.due_at = storable(result.reason), due_at
    delivery.details = delivery.details | {"failed_requests": failed}


def storable_action(action: ActionReport) -> dict[str, Any]:
    """Return an action as it is stored with a delivery: `targets` are those that were selected, `more` the rest."""
    return {
        "position": action.position,
        "action": storable(action.action),
        "result": action.result,
        "failed": action.failed,
        "problem": storable(action.problem),
        "targets": [
            {"kind": kind, "project": project, "name": name, "success": success}
            for kind, (project, name), success in action.targets[:TARGETS_KEPT]
        ],
        "more": max(0, len(action.targets) - TARGETS_KEPT),
    }


def storable_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as it is stored with a delivery."""
    return {
        key: storable(value) if isinstance(value, str) else value for key, value in verdict.as_dict().items()
    }
