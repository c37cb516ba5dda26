"""Alerts: the channels that a user may manage, their last results, and the history of messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Access, Action
from receivers.deliveries.form_fields import AS_TYPED, ShortTextField
from receivers.deliveries.outcomes import Tone
from receivers.models import (
    Alert,
    AlertChannel,
    AlertEnd,
    AlertMessage,
    AlertSeverity,
    AuditAction,
    ChannelKind,
    WarehouseEvent,
)
from receivers.ops.alerts.alert_log import EVERYTHING
from receivers.ops.alerts.channels import destination_shown, refused_address
from receivers.ops.alerts.encryption import encrypt
from receivers.ops.alerts.outbox import drop_unsent
from receivers.ops.alerts.sending import check_signing_key, new_signing_key
from receivers.web.new_receiver import NameField
from receivers.web.page_view import PageRequest, page_view

ALL_PROJECTS: Final = "*"
"""The choice of a channel for all projects; no project has such a name."""

HISTORY: Final = 50  # alerts, and messages, on the page
MOST_CHANNELS: Final = 20  # of one project: each may get a message whenever something happens
MOST_ADDRESSES: Final = 20
LONGEST_URL: Final = 2_000
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


class ChannelForm(forms.Form):
    """A channel. Without `channel` it is new; otherwise empty secrets stay as they are."""

    project = forms.ChoiceField(
        label="Project", error_messages={"invalid_choice": "doesn't exist, or you can't manage its alerts"}
    )
    name = ShortTextField(label="Name", widget=forms.TextInput(AS_TYPED))
    kind = forms.ChoiceField(label="Type", choices=ChannelKind.choices)
    severity = forms.ChoiceField(label="Severity", choices=AlertSeverity.choices)
    address = forms.CharField(
        label="Address",
        required=False,
        widget=forms.Textarea(AS_TYPED | {"rows": "2"}),
        error_messages={"null_characters_not_allowed": "can't contain NUL characters"},
    )
    signing_key = forms.CharField(
        label="Signing key",
        required=False,
        widget=forms.PasswordInput(AS_TYPED | {"autocomplete": "new-password"}),
        error_messages={"null_characters_not_allowed": "can't contain NUL characters"},
    )
    secret = NameField(label="Kubernetes Secret", required=False)

    def __init__(
        self, request: PageRequest, channel: AlertChannel | None, data: Mapping[str, Any] | None
    ) -> None:
        initial = {"project": request.GET.get("project", ALL_PROJECTS)}
        if channel is not None:
            initial = {name: getattr(channel, name) for name in ("name", "severity", "secret")}
        super().__init__(data, initial=initial, auto_id="alert-%s")
        self.channel = channel
        if channel is not None:
            del self.fields["project"], self.fields["kind"]
            return
        self.fields["project"].choices = _project_choices(request)  # type: ignore[attr-defined]  # a ChoiceField

    @property
    def kind_of_channel(self) -> str:
        """Return the kind of the channel, empty if it is invalid."""
        return self.channel.kind if self.channel else str(self.cleaned_data.get("kind", ""))

    def clean_name(self) -> str:
        """Return the name, or raise `ValidationError`."""
        name = str(self.cleaned_data["name"])
        if len(name) > 80:
            raise ValidationError("can have at most 80 characters")
        return name

    def clean(self) -> dict[str, Any]:
        """Check the destination, which depends on the kind."""
        cleaned = super().clean() or self.cleaned_data
        address, secret = str(cleaned.get("address") or "").strip(), str(cleaned.get("secret") or "")
        cleaned["address"] = address
        if address and secret:
            self.add_error("secret", "can't be combined with an address")
        elif address:
            self._check_address(address)
        elif not secret and not (self.channel and self.channel.address) and "secret" not in self.errors:
            self.add_error("address", "is missing")
        key = str(cleaned.get("signing_key") or "").strip()
        cleaned["signing_key"] = key
        if key and self.kind_of_channel == ChannelKind.WEBHOOK:
            try:
                check_signing_key(key)
            except ValueError as error:
                self.add_error("signing_key", str(error))
        return cleaned

    def _check_address(self, address: str) -> None:
        check = _email_problem if self.kind_of_channel == ChannelKind.EMAIL else _url_problem
        problem = check(address)
        if problem:
            self.add_error("address", problem)

    def apply(self, channel: AlertChannel) -> str:
        """Set the fields of a channel from a valid form. Return the signing key if it was generated now."""
        generated = ""
        channel.name, channel.severity = self.cleaned_data["name"], self.cleaned_data["severity"]
        if self.cleaned_data["address"]:
            channel.address, channel.secret = encrypt(self.cleaned_data["address"]), ""
        elif self.cleaned_data["secret"]:
            channel.address = channel.signing_key = ""
            channel.secret = self.cleaned_data["secret"]
        if channel.kind != ChannelKind.WEBHOOK or channel.secret:
            return ""
        key = self.cleaned_data["signing_key"]
        if not key and not channel.signing_key:
            key = generated = new_signing_key()
        if key:
            channel.signing_key = encrypt(key)
        return generated


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
        "email_is_off": settings.KARGOWEB.email is None,
        "records_events": settings.KARGOWEB.events,
        "events_wait": settings.KARGOWEB.events and _failing_events(request.access).exists(),
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


def _project_choices(request: PageRequest) -> list[tuple[str, str]]:
    names = sorted({project.name for project in request.runtime.cache.projects()})
    choices = [(name, name) for name in names if request.access.may(Action.MANAGE_ALERTS, name)]
    if request.access.may(Action.MANAGE_ALL_ALERTS):
        choices.insert(0, (ALL_PROJECTS, "All projects, and kargoweb itself"))
    return choices


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
    context = {"form": form, "channel": form.channel, "email_is_off": settings.KARGOWEB.email is None}
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


def _email_problem(addresses: str) -> str:
    parts: Sequence[str] = [part.strip() for part in addresses.replace("\n", ",").split(",") if part.strip()]
    if len(parts) > MOST_ADDRESSES:
        return f"can have at most {MOST_ADDRESSES} e-mail addresses"
    return "must be e-mail addresses separated by commas" if not _all_valid(parts) else ""


def _all_valid(addresses: Iterable[str]) -> bool:
    try:
        for address in addresses:
            validate_email(address)
    except ValidationError:
        return False
    return True


def _url_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        valid = False
    if not valid or " " in url or len(url) > LONGEST_URL:
        return "must be an http:// or https:// URL"
    return refused_address(url)
