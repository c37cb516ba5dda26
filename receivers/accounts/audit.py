"""Record what users do.

`record(request, Action.REDELIVER, project=..., receiver=..., delivery=..., detail="3 of 40 failed ones")`
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from receivers.accounts.client_address import client_address
from receivers.accounts.roles import Action
from receivers.models import ADDRESS_LENGTH, ApiToken, Audit, AuditAction, Delivery, storable

log = logging.getLogger(__name__)

# A script that guesses passwords must not fill the log; further failures add no information.
FAILURES_RECORDED: Final = 50  # per address and window
FAILURE_WINDOW: Final = timedelta(minutes=15)


def record(
    request: HttpRequest,
    action: Action | AuditAction | str,
    *,
    project: str = "",
    receiver: str = "",
    delivery: uuid.UUID | None = None,
    detail: str = "",
    user: str = "",
) -> None:
    """Record an action with its user and the client's address.

    `action` is an `AuditAction` or a permission of the same code. `detail` is text for readers; it must not contain a
    receiver URL or digest. `user` overrides the request's user. The entry names the API token of the request, if it has
    one. Raises `ValueError` if the log has no such action.
    """
    if isinstance(token := getattr(request, "auth", None), ApiToken):
        detail = f"{detail}, by API token {token}" if detail else f"by API token {token}"
    entry = Audit.objects.create(
        at=timezone.now(),
        user=storable(user or request.user.get_username()),
        action=AuditAction(str(action)),
        project=project,
        receiver=receiver,
        delivery=delivery,
        detail=storable(detail),
        address=_address(request),
    )
    fields = {
        name: str(value)
        for name in ("user", "action", "project", "receiver", "delivery", "detail", "address")
        if (value := getattr(entry, name))
    }
    what = ": ".join(filter(None, (entry.get_action_display(), entry.detail)))
    log.info("%s: %s", entry.user, what, extra={"fields": fields})


def record_about(request: HttpRequest, action: Action, delivery: Delivery, detail: str) -> None:
    """Record an action on a delivery; see `record`."""
    record(
        request,
        action,
        project=delivery.project,
        receiver=delivery.receiver,
        delivery=delivery.pk,
        detail=detail,
    )


def _address(request: HttpRequest) -> str:
    return storable(client_address(request.META, settings.KARGOWEB.forwarded_hops), ADDRESS_LENGTH)


def _signed_in(sender: object, request: HttpRequest, user: Any, **_: Any) -> None:
    record(request, AuditAction.SIGN_IN, user=user.get_username())


def _signed_out(sender: object, request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:
        record(request, AuditAction.SIGN_OUT, user=user.get_username())


def _sign_in_failed(sender: object, credentials: Any, request: HttpRequest | None = None, **_: Any) -> None:
    """Record a failed sign-in. Unknown names are not stored: they may be passwords typed into the wrong field."""
    if request is None:
        return
    failures = Audit.objects.filter(
        action=AuditAction.SIGN_IN_FAILED, address=_address(request), at__gte=timezone.now() - FAILURE_WINDOW
    )
    if failures[:FAILURES_RECORDED].count() >= FAILURES_RECORDED:
        return
    name = str(credentials.get("username", ""))
    exists = get_user_model()._default_manager.filter(username=name).exists()
    record(
        request,
        AuditAction.SIGN_IN_FAILED,
        user=name if exists else "unknown",
        detail="" if exists else "no such user",
    )


def connect() -> None:
    """Connect the signals that record sign-ins, sign-outs and failed sign-ins."""
    user_logged_in.connect(_signed_in, dispatch_uid="kargoweb-audit")
    user_logged_out.connect(_signed_out, dispatch_uid="kargoweb-audit")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="kargoweb-audit")
