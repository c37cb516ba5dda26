"""Alerts: the channels that a user may manage, their last results, and the history of messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Access, Action
from receivers.deliveries.outcomes import Tone
from receivers.models import (
    Alert,
    AlertChannel,
    AlertEnd,
    AlertMessage,
    AuditAction,
    WarehouseEvent,
)
from receivers.ops.alerts.alert_log import EVERYTHING
from receivers.ops.alerts.channels import destination_shown
from receivers.ops.alerts.outbox import drop_unsent
from receivers.web.channel_form import ALL_PROJECTS, ChannelForm
from receivers.web.page_view import PageRequest, page_view

HISTORY: Final = 50  # alerts, and messages, on the page
MOST_CHANNELS: Final = 20  # of one project: each may get a message whenever something happens
TEST_WINDOW: Final = timedelta(minutes=1)
TESTS: Final = 6  # of one channel within the window


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel in the list: where it sends, and its last message."""

    channel: AlertChannel
    destination: str
    last: AlertMessage | None
    tone: Tone
    state: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message in the history."""

    message: AlertMessage
    tone: Tone
    state: str


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert in the history."""

    alert: Alert
    tone: Tone
    state: str


@page_view
@require_safe
def alerts(request: PageRequest) -> HttpResponse:
    """Show the channels and the history. Raise `PermissionDenied` if the user can't manage any."""
    newest = AlertMessage.objects.filter(channel=OuterRef("pk")).order_by("-created_at").values("pk")[:1]
    channels = _manageable(request.access).annotate(last=Subquery(newest)).order_by("project", "name")
    rows = [(channel, last) for channel in channels for last in [getattr(channel, "last", None)]]
    last_messages = AlertMessage.objects.in_bulk([last for _, last in rows if last])
    history = AlertMessage.objects.filter(channel__in=[channel.pk for channel, _ in rows])
    shown = history.select_related("channel").order_by("-created_at")[:HISTORY]
    scopes = {channel.project for channel, _ in rows}
    # The newest first: ids sort by time, and the primary key is an index.
    newest_alerts = Alert.objects.filter(scope__in=scopes).order_by("-pk")[:HISTORY]
    context = {
        "alerts": [AlertRow(alert, *_state_of_alert(alert)) for alert in newest_alerts],
        "channels": [_channel_row(channel, last_messages.get(last)) for channel, last in rows],
        "history": [MessageRow(message, *_state(message)) for message in shown],
        "email_is_off": settings.KARGOWEB.alerts.email is None,
        "records_events": settings.KARGOWEB.alerts.events,
        "events_wait": settings.KARGOWEB.alerts.events and _failing_events(request.access).exists(),
    }
    return render(request, "alerts/list.html", context)


def _failing_events(access: Access) -> QuerySet[WarehouseEvent]:
    """Return the events that could not be recorded in the projects that a user may see, and are retried."""
    events = WarehouseEvent.objects.filter(due_at__isnull=False, attempts__gt=0)
    return events if access.projects is None else events.filter(project__in=access.projects)


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def new_channel(request: PageRequest) -> HttpResponse:
    """Show the form, or create the channel."""
    _manageable(request.access)
    form = ChannelForm(request, None, request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return _form(request, form)
    project = form.cleaned_data["project"].replace(ALL_PROJECTS, EVERYTHING)
    _require(request.access, project)
    if AlertChannel.objects.filter(project=project).count() >= MOST_CHANNELS:
        form.add_error(None, f"There are {MOST_CHANNELS} channels already. Delete one first.")
        return _form(request, form)
    channel = AlertChannel(
        project=project, kind=form.cleaned_data["kind"], created_by=request.user.get_username()
    )
    return _save(request, form, channel, "created")


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def edit_channel(request: PageRequest, pk: UUID) -> HttpResponse:
    """Show the form of a channel, without its secrets, or change the channel."""
    channel = _find(request.access, pk)
    form = ChannelForm(request, channel, request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return _form(request, form)
    return _save(request, form, channel, "changed")


@page_view
@require_POST
def test_channel(request: PageRequest, pk: UUID) -> HttpResponse:
    """Send a test alert now and show the answer."""
    channel = _find(request.access, pk)
    recent = AlertMessage.objects.filter(channel=channel, created_at__gt=timezone.now() - TEST_WINDOW)
    if recent.count() >= TESTS:
        messages.error(
            request, f"{channel.name} was used {TESTS} times within a minute. Try again in a minute."
        )
        return redirect("alerts")
    message = request.runtime.alerts.outbox.send_test(channel)
    _record(request, channel, f"sent a test alert to {channel.name}: {message.answer}")
    if message.sent_at:
        messages.success(request, f"Sent a test alert to {channel.name}. Answer: {message.answer}")
    else:
        messages.error(request, f"The test alert to {channel.name} failed. Answer: {message.answer}")
    return redirect("alerts")


@page_view
@require_POST
def switch_channel(request: PageRequest, pk: UUID) -> HttpResponse:
    """Disable a channel that is enabled, and the other way round. What waits to be sent is dropped."""
    channel = _find(request.access, pk)
    channel.enabled = request.POST.get("enabled") == "true"
    with transaction.atomic():
        channel.save(update_fields=["enabled"])
        if not channel.enabled:
            drop_unsent(channel)
        _record(request, channel, f"{'enabled' if channel.enabled else 'disabled'} channel {channel.name}")
    messages.success(request, f"{channel.name} is {'enabled' if channel.enabled else 'disabled'}.")
    return redirect("alerts")


@page_view
@require_POST
def delete_channel(request: PageRequest, pk: UUID) -> HttpResponse:
    """Delete a channel with its history."""
    channel = _find(request.access, pk)
    with transaction.atomic():
        _record(request, channel, f"deleted channel {channel.name}")
        channel.delete()
    messages.success(request, f"Deleted channel {channel.name}.")
    return redirect("alerts")


def _manageable(access: Access) -> QuerySet[AlertChannel]:
    """Return the channels that a user may manage. Raise `PermissionDenied` if they can't manage any."""
    projects, channels = access.projects_with(Action.MANAGE_ALERTS), AlertChannel.objects.all()
    if projects == frozenset():
        raise PermissionDenied
    if projects is not None:
        return channels.filter(project__in=projects)
    return channels if access.may(Action.MANAGE_ALL_ALERTS) else channels.exclude(project=EVERYTHING)


def _require(access: Access, project: str) -> None:
    if project == EVERYTHING:
        if not access.may(Action.MANAGE_ALL_ALERTS):
            raise PermissionDenied
    elif not access.may(Action.MANAGE_ALERTS, project):
        raise PermissionDenied


def _find(access: Access, pk: UUID) -> AlertChannel:
    """Return a channel. Raise `Http404` if there is none that the user may manage."""
    channel = _manageable(access).filter(pk=pk).first()
    if channel is None:
        raise Http404
    return channel


def _save(request: PageRequest, form: ChannelForm, channel: AlertChannel, verb: str) -> HttpResponse:
    generated = form.apply(channel)
    try:
        with transaction.atomic():
            channel.save()
            _record(request, channel, f"{verb} channel {channel.name} ({channel.get_kind_display()})")
    except IntegrityError:
        form.add_error("name", "is used by another channel of the project")
        return _form(request, form)
    if generated:
        return render(request, "alerts/key.html", {"channel": channel, "key": generated})
    messages.success(request, f"Saved channel {channel.name}. Send a test alert to check it.")
    return redirect("alerts")


def _form(request: PageRequest, form: ChannelForm) -> HttpResponse:
    context = {"form": form, "channel": form.channel, "email_is_off": settings.KARGOWEB.alerts.email is None}
    return render(request, "alerts/channel.html", context)


def _record(request: PageRequest, channel: AlertChannel, detail: str) -> None:
    audit.record(request, AuditAction.MANAGE_ALERTS, project=channel.project, detail=detail)


def _channel_row(channel: AlertChannel, last: AlertMessage | None) -> ChannelRow:
    if not channel.enabled:
        tone, state = Tone.PLAIN, "Disabled"
    elif last is None:
        tone, state = Tone.OPEN, "Nothing sent yet"
    else:
        tone, state = _state(last)
    return ChannelRow(channel, destination_shown(channel), last, tone, state)


def _state(message: AlertMessage) -> tuple[Tone, str]:
    if message.sent_at is not None:
        return Tone.GOOD, "Sent"
    if message.due_at is None:
        return Tone.BAD, "Failed"
    return (Tone.BAD, "Retrying") if message.attempts else (Tone.OPEN, "Sending")


def _state_of_alert(alert: Alert) -> tuple[Tone, str]:
    end = AlertEnd(alert.end)
    tones = {AlertEnd.OPEN: Tone.BAD, AlertEnd.RESOLVED: Tone.GOOD}
    return tones.get(end, Tone.PLAIN), str(end.label)
