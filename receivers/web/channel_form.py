"""The form of an alert channel. Stored secrets are never shown in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from receivers.accounts.access import Action
from receivers.deliveries.form_fields import AS_TYPED, ShortTextField, SubdomainField
from receivers.models import AlertChannel, AlertSeverity, ChannelKind
from receivers.ops.alerts.channels import refused_address
from receivers.ops.alerts.encryption import encrypt
from receivers.ops.alerts.sending import check_signing_key, new_signing_key
from receivers.web.page_view import PageRequest

ALL_PROJECTS: Final = "*"
"""The choice of a channel for all projects; no project has such a name."""

MOST_ADDRESSES: Final = 20
LONGEST_URL: Final = 2_000


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
    secret = SubdomainField(label="Kubernetes Secret", required=False)

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


def _project_choices(request: PageRequest) -> list[tuple[str, str]]:
    names = sorted({project.name for project in request.runtime.cache.projects()})
    choices = [(name, name) for name in names if request.access.may(Action.MANAGE_ALERTS, name)]
    if request.access.may(Action.MANAGE_ALL_ALERTS):
        choices.insert(0, (ALL_PROJECTS, "All projects, and kargoweb itself"))
    return choices


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
