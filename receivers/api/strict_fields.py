"""The fields and bodies that the API accepts: what their OpenAPI schema says, and nothing like it.

DRF's own fields take numbers for texts, texts for numbers and digits of any script, and its serializers ignore unknown
names: a misspelled `dry_run` would do what it was to prevent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from rest_framework import serializers

from receivers.deliveries.visible_text import CONTROL, HIDDEN, NO_VISIBLE_TEXT
from receivers.kargo.scopes import parse_scope
from receivers.models import NAME_LENGTH, TEXT_LENGTH

Values = dict[str, Any]

# Patterns mean the same in Python and in ECMA-262, whose `\s` and `\d` differ: control characters that are spaces, a
# space that is none in Python, and digits of other scripts.
TEXT: Final = f"^[^{CONTROL}]*$"
NOT_BLANK: Final = rf"^[^{CONTROL}]*[^{CONTROL}\s\ufeff][^{CONTROL}]*$"
_VISIBLE: Final = f"^[^{HIDDEN}]*$"
_VISIBLE_NOT_BLANK: Final = f"^ *[^{HIDDEN} ][^{HIDDEN}]*$"
NO_TEXT: Final = "It can't contain control characters."

_INTEGER: Final = re.compile("-?[0-9]+")


class PatternField(serializers.CharField):
    """A text that matches `pattern`. Its length is that before spaces around it are removed, as in the schema."""

    default_error_messages = {"pattern": NO_TEXT}  # noqa: RUF012 - as in DRF

    def __init__(self, pattern: str, **options: Any) -> None:
        self.pattern = pattern
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the text. Raise `ValidationError`."""
        if not isinstance(data, str):
            self.fail("invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        if not self.allow_blank and not data.strip("\ufeff").strip():
            self.fail("blank")
        if not re.fullmatch(self.pattern, data):
            self.fail("pattern")
        return data.strip()


class TextField(PatternField):
    """A text of at most `TEXT_LENGTH` characters. Unless it is required, it is empty by default."""

    def __init__(self, **options: Any) -> None:
        if not options.get("required"):
            options = {"allow_blank": True, "default": "", **options}
        super().__init__(
            TEXT if options.get("allow_blank") else NOT_BLANK, **{"max_length": TEXT_LENGTH, **options}
        )


class VisibleTextField(PatternField):
    """A text to put into a push: as `TextField`, without characters that can't be seen."""

    default_error_messages = {"pattern": f"It {NO_VISIBLE_TEXT}."}  # noqa: RUF012 - as in DRF

    def __init__(self, **options: Any) -> None:
        if not options.get("required"):
            options = {"allow_blank": True, "default": "", **options}
        pattern = _VISIBLE if options.get("allow_blank") else _VISIBLE_NOT_BLANK
        super().__init__(pattern, **{"max_length": TEXT_LENGTH, **options})


class ObjectNameField(PatternField):
    """The name of a Kubernetes object, or of several with a slash."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            TEXT if options.get("allow_blank") else NOT_BLANK, **{"max_length": NAME_LENGTH, **options}
        )


class ScopeField(ObjectNameField):
    """A project, or `cluster` for the cluster receivers. Its value is the project or `CLUSTER_SCOPE`."""

    def to_internal_value(self, data: Any) -> str:
        """Return the project of a name."""
        return parse_scope(super().to_internal_value(data))


class WholeNumberField(serializers.IntegerField):
    """An integer in an address, in decimal digits. Python also takes `1_0`, and digits of other scripts."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number. Raise `ValidationError`."""
        if not _INTEGER.fullmatch(str(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(serializers.FloatField):
    """A number in a body: no text with one, and no boolean."""

    def to_internal_value(self, data: Any) -> float:
        """Return the number. Raise `ValidationError`."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """True or false: in a body as JSON has them, in an address as the words. DRF takes 1, `yes` and more for true."""

    def __init__(self, *, in_address: bool = False, **options: Any) -> None:
        self._in_address = in_address
        super().__init__(default=False, **options)

    def to_internal_value(self, data: Any) -> bool:
        """Return the value. Raise `ValidationError`."""
        value = {"true": True, "false": False}.get(str(data).lower()) if self._in_address else data
        if not isinstance(value, bool):
            raise serializers.ValidationError("It must be true or false.")
        return value


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `ValidationError` if names are given that are not known."""
    names = list(known)
    if unknown := sorted(set(given) - set(names)):
        advice = f"Known are {', '.join(names)}." if names else "There are none here."
        raise serializers.ValidationError({name: [f"Unknown name. {advice}"] for name in unknown})


class BodySerializer(serializers.Serializer[Values]):
    """The body of a request, without unknown names."""

    def to_internal_value(self, data: Any) -> Values:
        """Return the values. Raise `ValidationError`."""
        if isinstance(data, dict):
            refuse_unknown(data, self.fields)
        values: Values = super().to_internal_value(data)
        return values
