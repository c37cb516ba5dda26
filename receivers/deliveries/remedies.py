"""What each outcome means and what to do about it. Pages, commands and the docs share these sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from receivers.models import Outcome


@dataclass(frozen=True, slots=True)
class Remedy:
    """Sentences without a capital letter and a period; code is in backticks. `to_do` may be empty."""

    means: str
    to_do: str = ""


REMEDIES: Final[Mapping[Outcome, Remedy]] = MappingProxyType(
    {
        Outcome.FREIGHT_CREATED: Remedy("Kargo created Freight that contains the pushed artifact"),
        Outcome.ALREADY_CURRENT: Remedy("Freight with this content existed before the push"),
        Outcome.TEST_PASSED: Remedy("the test reached every matching Warehouse; its tag need not exist"),
        Outcome.NOT_NEWEST: Remedy("Kargo found the tag but creates Freight from one that ranks higher"),
        Outcome.MANUAL_CREATION_POLICY: Remedy(
            "Kargo found the tag; Freight must be created manually", "create Freight in Kargo"
        ),
        Outcome.CRITERIA_NOT_MET: Remedy(
            "the Freight creation criteria are false for the discovered artifacts, or can't be evaluated",
            "check the expression in `spec.freightCreationCriteria`",
        ),
        Outcome.BEYOND_DISCOVERY_LIMIT: Remedy(
            "the tag is valid but older than the newest tags within `discoveryLimit`",
            "raise the subscription's `discoveryLimit`",
        ),
        Outcome.ARTIFACTS_MISSING: Remedy(
            "another subscription in this Warehouse has no artifact yet", "check that subscription"
        ),
        Outcome.NO_LONGER_SELECTED: Remedy("the Warehouse was changed after the push"),
        Outcome.WAREHOUSE_DELETED: Remedy("the Warehouse was deleted after the push"),
        Outcome.TAG_NOT_VISIBLE: Remedy(
            "Kargo never saw this tag in the registry",
            "check that the registry has the tag, for the subscription's platform",
        ),
        Outcome.FREIGHT_FAILED: Remedy(
            "Kargo discovered the tag but failed to create Freight", "fix the error in Kargo's message"
        ),
        Outcome.DISCOVERY_FAILED: Remedy(
            "artifact discovery failed in every attempt",
            "fix the error in Kargo's message; usual causes are credentials and rate limits",
        ),
        Outcome.NOT_HANDLED: Remedy(
            "the controller never responded", "check that the controller of the Warehouse's shard is running"
        ),
        Outcome.NOT_REQUESTED: Remedy(
            "the Kubernetes API rejected the refresh, for 24 hours or permanently",
            "check kargoweb's permissions and admission webhooks",
        ),
        Outcome.NO_MATCH: Remedy(
            "no subscription matches this push",
            "compare the subscription's repository and constraint with the push",
        ),
        Outcome.INVALID_SUBSCRIPTION: Remedy(
            "a subscription that uses this repository can't be evaluated, and no other one matches",
            "fix that subscription, then redeliver",
        ),
        Outcome.REFRESHED: Remedy("the Warehouses were refreshed, and Kargo is working on it"),
        Outcome.PENDING: Remedy("the delivery is saved and being processed"),
        Outcome.FAILED: Remedy(
            "the request to refresh a Warehouse failed; retries continue for 24 hours",
            "check that the Kubernetes API is reachable and allows the patch",
        ),
        Outcome.NO_REPOSITORY: Remedy(
            "the body names no repository, so no Warehouse was refreshed",
            "find out what calls this URL; only the webhooks of the receiver's provider should",
        ),
        Outcome.INVALID_BODY: Remedy(
            "the body is not a webhook payload of the receiver's provider; no Warehouse was refreshed",
            "find out what calls this URL; only the webhooks of the receiver's provider should",
        ),
        Outcome.TOO_LARGE: Remedy(
            "the body is larger than 2 MiB and was not saved",
            "find out what calls this URL; webhook payloads have a few KB",
        ),
        Outcome.RETIRED_URL: Remedy(
            "this is an old URL of the receiver, from before its Secret or name changed",
            "replace the webhook URL at the provider with the receiver's current URL",
        ),
        Outcome.UNSUPPORTED_KIND: Remedy(
            "kargoweb does not support receivers of this kind", "send this webhook to Kargo's own server"
        ),
        Outcome.UNAUTHORIZED: Remedy(
            "the signature or token is missing or wrong; no Warehouse was refreshed",
            "set the secret of the webhook at the provider to the value in the receiver's Secret",
        ),
        Outcome.SECRET_UNREADABLE: Remedy(
            "the request could not be authenticated, because kargoweb could not read the receiver's Secret",
            "create the Secret, or let kargoweb read it",
        ),
        Outcome.UNSUPPORTED_EVENT: Remedy(
            "receivers of this kind don't take this event; Kargo's own server doesn't either",
            "select only the events that the receiver's page names at the provider",
        ),
        Outcome.IGNORED: Remedy("the event refreshes nothing, as in Kargo"),
        Outcome.PROMOTIONS_REFRESHED: Remedy(
            "a pull request was closed, and the Promotions that waited for it were refreshed"
        ),
        Outcome.PROMOTIONS_FAILED: Remedy(
            "Promotions could not be refreshed; if the Kubernetes API failed, those that wait for a closed pull "
            "request were tried for 24 hours",
            "check that kargoweb may list and patch Promotions, then redeliver",
        ),
        Outcome.ACTION_FAILED: Remedy(
            "an action of the receiver failed; other actions may have succeeded",
            "fix the action that the reason names, then redeliver; if it is beyond kargoweb, pass the receiver on to "
            "Kargo's own server",
        ),
        Outcome.FORWARDED: Remedy(
            "Kargo's own server processed the request, and kargoweb follows no refresh of it"
        ),
        Outcome.FORWARD_REFUSED: Remedy(
            "Kargo's own server answered the request that was passed on with an error",
            "read the response: 401 means another secret at the provider, 404 an unknown URL; then redeliver, "
            "or let the provider send it again",
        ),
        Outcome.FORWARD_FAILED: Remedy(
            "Kargo's own server did not answer the request that was passed on",
            "check the address of the upstream and that this server is running, then redeliver to pass it on again, or "
            "let the provider send it again",
        ),
        Outcome.COLLISION: Remedy(
            "two receivers share this URL, so the target is ambiguous", "give one of them its own Secret"
        ),
        Outcome.TEST_REFUSED: Remedy(
            "the test token was forged, expired, used before, or meant for another receiver or body; "
            "nothing was refreshed",
            "send the test push again",
        ),
        Outcome.DRY_RUN: Remedy("this was a dry run; nothing was refreshed"),
    }
)


def remedy(outcome: str) -> Remedy:
    """Return what an `Outcome` or a `RefreshOutcome` means and what to do. Raises ValueError for any other text."""
    return REMEDIES[Outcome(outcome)]
