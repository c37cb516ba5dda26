"""The parameters and bodies that the API accepts."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from receivers.api.filter_parameters import FILTER_SCHEMAS, MOMENT, NO_MOMENT, filter_form
from receivers.api.strict_fields import (
    BodySerializer,
    FlagField,
    NumberField,
    ObjectNameField,
    PatternField,
    ScopeField,
    TextField,
    Values,
    VisibleTextField,
    WholeNumberField,
)
from receivers.deliveries.delivery_page import CURSOR
from receivers.deliveries.figures import Range
from receivers.deliveries.filters import DeliveryFilter, DeliveryFilterForm, read_moment
from receivers.deliveries.querysets import MAX_PAGE_SIZE
from receivers.deliveries.redelivery import HIGHEST_RATE, LOWEST_RATE, RATE
from receivers.health.checks import Check
from receivers.health.finding import Severity
from receivers.kargo.push import Push, git_push
from receivers.kargo.scopes import parse_scope

PAGE_SIZE: Final = 50  # rows by default
MAX_FILE_NAMES: Final = 10_000  # characters of the names of all changed files
MAX_FILES: Final = 100  # of a test push; more than a person types
MEDIA_TYPE: Final = "The media type of the manifest, which distinguishes images from charts."
RECEIVER: Final = r"^[^/\s\ufeff\x00-\x1f\x7f-\x9f]+/[^/\s\ufeff\x00-\x1f\x7f-\x9f]+$"


class TimeOrAgeField(PatternField):
    """A time or an age, as `read_moment` takes it."""

    default_error_messages = {"pattern": NO_MOMENT}  # noqa: RUF012 - as in DRF

    def __init__(self, **options: Any) -> None:
        super().__init__(MOMENT, **options)

    def to_internal_value(self, data: Any) -> Any:
        """Return the time. Raise `ValidationError`."""
        return read_moment(super().to_internal_value(data))


class PageQuery(serializers.Serializer[Values]):
    """The page of a list: `size` rows after the cursor `after`."""

    size = WholeNumberField(
        min_value=1, max_value=MAX_PAGE_SIZE, default=PAGE_SIZE, help_text="The number of rows."
    )
    after: PatternField = TextField(
        max_length=None, help_text="The `next` of the previous page; empty for the first page."
    )


class LogPageQuery(PageQuery):
    """The page of a list that grows at its top."""

    after = PatternField(
        f"^({CURSOR})?$",
        allow_blank=True,
        default="",
        help_text="The `next` of the previous page; empty for the first page.",
        error_messages={"pattern": "It must be the `next` of the previous page."},
    )


class ProjectQuery(PageQuery):
    """A page of projects whose name contains `q`."""

    q = TextField(help_text="A part of the name.")


class PushQuery(serializers.Serializer[Values]):
    """A hypothetical push to a receiver of `project`, which is `cluster` for a cluster receiver.

    With `ref`, it is a push of Git commits that change `files`, whose names are separated by commas.
    """

    project = ScopeField(help_text="A project, or `cluster` for a cluster receiver.")
    repository = TextField(
        required=True,
        help_text="As the provider sends it: `example/repo` of Docker Hub, or the URL of a Git repository.",
    )
    tag = TextField(help_text="The tag; empty for Git.")
    media_type = TextField(help_text=MEDIA_TYPE)
    ref = TextField(help_text="For Git: the branch or tag, such as `refs/heads/main`.")
    files = TextField(max_length=MAX_FILE_NAMES, help_text="For Git: the changed files, separated by commas.")

    @property
    def push(self) -> Push:
        """Return the push of a valid query."""
        given = self.validated_data
        if given["ref"]:
            files = tuple(name for name in given["files"].split(",") if name)
            return git_push(given["repository"], given["ref"], files)
        return push_of(given)


class TestPushQuery(BodySerializer):
    """A test push: what to send, and how."""

    __test__ = False  # not a test class for pytest

    repository = VisibleTextField(
        required=True,
        help_text="As the provider sends it: `example/repo` of Docker Hub, or the URL of a Git repository.",
    )
    tag = VisibleTextField(help_text="The tag or, for Git, the branch or tag, such as `refs/heads/main`.")
    media_type = VisibleTextField(help_text=MEDIA_TYPE)
    files = serializers.ListField(
        child=VisibleTextField(required=True),
        max_length=MAX_FILES,
        default=list,
        help_text="For Git: the changed files.",
    )
    dry_run = FlagField(help_text="Evaluate the push, but refresh nothing.")
    inside = FlagField(help_text="Skip the receiver URL: don't test DNS, TLS and the Ingress.")


class PushRefreshQuery(BodySerializer):
    """A push whose Warehouses in `project` are to be refreshed."""

    project = ScopeField(help_text="A project, or `cluster` for all projects.")
    repository = VisibleTextField(
        required=True, help_text="The repository, such as `example/repo` on Docker Hub."
    )
    tag = VisibleTextField()
    media_type = VisibleTextField(help_text=MEDIA_TYPE)


class WarehouseRefreshQuery(BodySerializer):
    """A Warehouse to refresh."""

    project = ObjectNameField(help_text="The project of the Warehouse.")
    warehouse = ObjectNameField(help_text="The name of the Warehouse.")


class FindingQuery(PageQuery):
    """A page of findings, most urgent first."""

    project = ScopeField(required=False, default=None, help_text="A project, or `cluster`.")
    severity = serializers.ChoiceField(
        choices=[each.value for each in Severity], required=False, default=None
    )
    check = serializers.ChoiceField(choices=Check.values, required=False, default=None)
    muted = FlagField(in_address=True, help_text="List the muted findings instead of the others.")


class MuteQuery(BodySerializer):
    """Why a finding is muted."""

    note = TextField(help_text="The reason, which other users see.")


class StatisticsQuery(serializers.Serializer[Values]):
    """The range and the pushes of the statistics."""

    range = serializers.ChoiceField(choices=Range.values, default=Range.DAY.value)
    project = ScopeField(required=False, default=None, help_text="A project, or `cluster`; all by default.")
    receiver = PatternField(
        RECEIVER,
        required=False,
        default=None,
        help_text="One receiver: `project/name`, or `cluster/name`.",
        error_messages={"pattern": "It must be project/name."},
    )

    def validate(self, attrs: Values) -> Values:
        """Split the receiver into its project and its name."""
        project, _, name = (attrs["receiver"] or "").partition("/")
        return attrs | ({"project": parse_scope(project), "receiver": name} if name else {"receiver": ""})


@extend_schema_field({"type": "object", "properties": FILTER_SCHEMAS, "additionalProperties": False})
class FiltersField(serializers.DictField):
    """Filters of deliveries by name."""

    child = TextField(max_length=None)


class BulkRedeliveryQuery(BodySerializer):
    """Which deliveries to redeliver, and how fast. The filters are those of the list of deliveries."""

    filter = FiltersField(
        help_text='Filters of `GET /api/v1/deliveries`, such as {"outcome": "bad", "since": "2h"}.',
    )
    rate = NumberField(
        min_value=LOWEST_RATE, max_value=HIGHEST_RATE, default=RATE, help_text="Redeliveries per second."
    )
    dry_run = FlagField(help_text="Only list what would be redelivered.")

    def validate_filter(self, value: dict[str, str]) -> DeliveryFilter:
        """Return the filter of the names and values."""
        if unknown := sorted(set(value) - set(DeliveryFilterForm.base_fields)):
            raise serializers.ValidationError(f"Unknown filter: {', '.join(unknown)}.")
        return filter_of(filter_form(value))


def filter_of(form: DeliveryFilterForm) -> DeliveryFilter:
    """Return the filter of a form. Raise `ValidationError`."""
    if form.wanted is None:
        raise serializers.ValidationError(
            {field: [str(problem) for problem in problems] for field, problems in form.errors.items()}
        )
    return form.wanted


def push_of(values: Values) -> Push:
    """Return the push of validated values."""
    return Push(values["repository"], values["tag"], values["media_type"])
