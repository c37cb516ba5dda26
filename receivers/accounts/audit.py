"""Who did what: every action of people, on record.

`record(request, Action.REDELIVER, project=..., receiver=..., delivery=..., detail="3 of 40 failed ones")`
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.utils import timezone

from receivers.accounts.client_address import client_address
from receivers.accounts.roles import Action
from receivers.models import ADDRESS_LENGTH, Audit, Delivery, storable

SIGNED_IN: Final = "sign in"
SIGNED_OUT: Final = "sign out"
SIGN_IN_FAILED: Final = "failed sign-in"

# A machine that guesses passwords must not fill the list: what it does after that says nothing new.
FAILURES_RECORDED: Final = 50
FAILURE_WINDOW: Final = timedelta(minutes=15)


def record(
    request: Any,
    action: Action | str,
    *,
    project: str = "",
    receiver: str = "",
    delivery: uuid.UUID | None = None,
    detail: str = "",
    user: str = "",
) -> None:
    """Put an action on record, with who asked for it and from where.

    `detail` is a sentence for people and must not hold a receiver URL or its digest. `user` is for those who are not
    the request's user.
    """
    Audit.objects.create(
        at=timezone.now(),
        user=storable(user or request.user.get_username()),
        action=str(action),
        project=project,
        receiver=receiver,
        delivery=delivery,
        detail=storable(detail),
        address=_address(request),
    )


def record_about(request: Any, action: Action, delivery: Delivery, detail: str) -> None:
    """Put on record what was done with a delivery; see `record`."""
    record(
        request,
        action,
        project=delivery.project,
        receiver=delivery.receiver,
        delivery=delivery.pk,
        detail=detail,
    )


def _address(request: Any) -> str:
    return storable(client_address(request.META, settings.KARGOWEB.forwarded_hops), ADDRESS_LENGTH)


def _signed_in(sender: object, request: Any, user: Any, **_: Any) -> None:
    record(request, SIGNED_IN, user=user.get_username())


def _signed_out(sender: object, request: Any, user: Any, **_: Any) -> None:
    if user is not None:
        record(request, SIGNED_OUT, user=user.get_username())


def _sign_in_failed(sender: object, credentials: Any, request: Any = None, **_: Any) -> None:
    """Record a failure. The name is kept if there is such a user: people type passwords into the wrong field."""
    if request is None:
        return
    failures = Audit.objects.filter(
        action=SIGN_IN_FAILED, address=_address(request), at__gte=timezone.now() - FAILURE_WINDOW
    )
    if failures[:FAILURES_RECORDED].count() >= FAILURES_RECORDED:
        return
    name = str(credentials.get("username", ""))
    known = get_user_model()._default_manager.filter(username=name).exists()
    record(
        request,
        SIGN_IN_FAILED,
        user=name if known else "unknown",
        detail="" if known else "no such user name",
    )


def connect() -> None:
    """Have sign-ins, sign-outs and failures recorded."""
    user_logged_in.connect(_signed_in, dispatch_uid="kargoweb-audit")
    user_logged_out.connect(_signed_out, dispatch_uid="kargoweb-audit")
    user_login_failed.connect(_sign_in_failed, dispatch_uid="kargoweb-audit")
