"""Parts of forms, for pages, the API and commands. The text of an error continues the name or label of its field."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django import forms
from django.core.validators import MaxLengthValidator, RegexValidator

from receivers.deliveries.escaping import escape_invisible
from receivers.models import NAME_LENGTH, TEXT_LENGTH

AS_TYPED: Final = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
"""Attributes of inputs for names, which a browser must neither complete nor correct."""

_SUBDOMAIN: Final = RegexValidator(
    r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z",
    "must consist of lowercase letters, digits, “-” and “.”, and start and end with a letter or digit",
)


class ShortTextField(forms.CharField):
    """A text of at most `TEXT_LENGTH` characters, the length of database columns."""

    default_error_messages: ClassVar = {
        "required": "is missing",
        "max_length": f"can have at most {TEXT_LENGTH} characters",
        "null_characters_not_allowed": "can't contain NUL characters",
    }
    # Not `max_length`: with that, browsers silently cut off what a user pastes.
    default_validators: ClassVar = [MaxLengthValidator(TEXT_LENGTH)]  # type: ignore[misc]  # the stubs say instance


class SubdomainField(ShortTextField):
    """The name of an object in Kubernetes: a DNS subdomain (RFC 1123)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, widget=forms.TextInput(AS_TYPED), validators=[_SUBDOMAIN])

    def clean(self, value: Any) -> str:
        """Return the name, or raise `ValidationError`."""
        name = str(super().clean(value))
        if len(name) > NAME_LENGTH:
            raise forms.ValidationError(f"can have at most {NAME_LENGTH} characters")
        return name


class OpenSelect(forms.Select):
    """A select that also offers its current value if that is not one of the choices, so that the value is not lost."""

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        """Return the options as `Select` does, with an additional one for each value that is not a choice."""
        groups = super().optgroups(name, value, attrs)
        offered = {str(choice) for choice, _ in self.choices}
        for text in filter(None, value):
            if text not in offered:
                option = self.create_option(
                    name, text, escape_invisible(text), True, len(groups), attrs=attrs
                )
                groups.append((None, [option], len(groups)))
        return groups


def form_errors(form: forms.Form) -> list[str]:
    """Return the first error of each invalid field, after the name of the field."""
    return [f"{name} {errors[0]}" for name, errors in form.errors.items()]
