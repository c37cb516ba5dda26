"""Where a delivery comes from, and how it ends: the codes that the log, the API, pages and metrics share."""

from __future__ import annotations

from django.db import models

from receivers.kargo.refresh_outcomes import RefreshOutcome


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
    """Promotions could not be found or refreshed: those that wait for a closed pull request, in all attempts, or those
    that an action of a `generic` receiver selects."""

    ACTION_FAILED = "action_failed", "Action failed"
    """An action of a `generic` receiver failed, whatever its other actions refreshed; its details say which."""

    FORWARDED = "forwarded", "Passed on to Kargo"
    """The request was passed on to Kargo's own server (`KARGOWEB_UPSTREAM`), whose answer is stored."""

    FORWARD_REFUSED = "forward_refused", "Refused by Kargo"
    """Kargo's own server answered a request that was passed on with an error, such as 401, 404 or 500."""

    FORWARD_FAILED = "forward_failed", "Not passed on"
    """Kargo's own server could not be reached, did not answer in time, or is kargoweb itself; or this process was
    killed before the answer, and it is unknown whether that server processed the request."""

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
