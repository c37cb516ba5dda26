"""Django admin, for superusers: users and groups can be edited, the tables of kargoweb are read-only.

The lists stay quick on tables of any size: nothing counts, sorts or searches more rows than an index delivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.contrib.auth import admin as auth_admin
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property

from receivers.accounts import audit
from receivers.deliveries.predicates import of_outcome
from receivers.models import (
    UNDERSTOOD,
    Alert,
    AlertChannel,
    AlertDuty,
    AlertMessage,
    AlertNotice,
    ApiToken,
    Audit,
    AuditAction,
    Delivery,
    Downtime,
    HourlyFigure,
    KargoController,
    MissedPush,
    Mute,
    Outcome,
    ProjectDelivery,
    ProviderIdentity,
    PushFailure,
    ReceiverUrl,
    Refresh,
    Replica,
    RolledUpHour,
    SavedView,
    UnknownCall,
    WarehouseEvent,
)

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
    AnyUserAdmin = auth_admin.UserAdmin[User]
    AnyPaginator = Paginator[Any]
else:  # Django's classes are generic for type checkers only
    AnyModelAdmin, AnyUserAdmin, AnyPaginator = admin.ModelAdmin, auth_admin.UserAdmin, Paginator

ROWS_LISTED: Final = 1_000  # twenty pages; older rows are found by a search

ROLES_OF_GROUPS: Final = (
    "Groups grant roles by their names. Members of <b>viewer</b> see everything except receiver URLs. "
    "Members of <b>operator</b> also reveal URLs, send test pushes, redeliver and mute findings. "
    "Members of <b>admin</b> also see the audit log and the configuration. "
    "With the name of a project, as in <b>operator:storefront</b>, the role applies in this project only. "
    "Groups with other names grant nothing. Superusers have the role admin everywhere, without a group."
)
"""HTML that explains which groups mean what; see `accounts.roles`."""


class KargowebAdminSite(admin.AdminSite):
    """The admin of superusers. Signing in and changing one's own password happens on kargoweb's own pages.

    There, failed attempts are limited, and the audit log records what happens.
    """

    site_title = "kargoweb"
    site_header = "kargoweb"
    index_title = "Administration"

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether the user is an active superuser."""
        return request.user.is_active and request.user.is_superuser

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the sign-in page. Raise `PermissionDenied` if the user is signed in, but no superuser."""
        target = request.GET.get("next") or reverse("admin:index")
        if not request.user.is_authenticated:
            return redirect_to_login(target)
        if not self.has_permission(request):
            raise PermissionDenied
        return redirect("admin:index")

    def password_change(  # type: ignore[override]  # the stubs rule out Django's own redirect, too
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the page on which users change their own password."""
        return redirect("password")


site: Final = KargowebAdminSite()


class AuditedAdmin(AnyModelAdmin):
    """Records changes of users and groups in the audit log, too. Unlike the admin's own log, it outlives the users."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        """Record an addition."""
        return self._recorded(request, obj, super().log_addition(request, obj, message))

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        """Record a change."""
        return self._recorded(request, obj, super().log_change(request, obj, message))

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[LogEntry]:
        """Record deletions. The admin calls this before it deletes."""
        for obj in queryset:
            audit.record(request, AuditAction.CHANGE_USERS, detail=f"{_described(obj)}: Deleted.")
        return super().log_deletions(request, queryset)

    def _recorded(self, request: HttpRequest, obj: Any, entry: LogEntry) -> LogEntry:
        detail = f"{_described(obj)}: {entry.get_change_message()}"
        audit.record(request, AuditAction.CHANGE_USERS, detail=detail)
        return entry


def _described(obj: User | Group) -> str:
    """Return the name of a group, or of a user with the groups and the status that decide about access."""
    if isinstance(obj, Group):
        return f"group {obj.name}"
    access = list(obj.groups.order_by("name").values_list("name", flat=True))
    if not obj.is_active:
        access.insert(0, "inactive")
    if obj.is_superuser:
        access.insert(0, "superuser")
    return f"user {obj.username} ({', '.join(access) or 'no role'})"


@admin.register(User, site=site)
class UserAdmin(AuditedAdmin, AnyUserAdmin):
    """Users, without the fields that mean nothing in kargoweb: staff status and permissions of models."""

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_superuser", "groups"), "description": ROLES_OF_GROUPS}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_superuser", "is_active", "groups")
    filter_horizontal = ("groups",)


@admin.register(Group, site=site)
class GroupAdmin(AuditedAdmin, auth_admin.GroupAdmin):
    """Groups. Their names grant roles, so permissions of models are left out."""

    fieldsets = ((None, {"fields": ("name",), "description": ROLES_OF_GROUPS}),)


class BoundedPaginator(AnyPaginator):
    """Pages of the first `ROWS_LISTED` rows, because counting all rows of a large table takes long."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most `ROWS_LISTED`."""
        return cast("QuerySet[Any]", self.object_list)[:ROWS_LISTED].count()

    @property
    def is_full(self) -> bool:
        """Return whether there may be more rows than pages show."""
        return self.count == ROWS_LISTED


class IndexedChangeList(ChangeList):
    """A list in the one order that an index delivers, whatever `?o=` says."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the order of the `ModelAdmin`. Django would add the primary key, which not every index has."""
        return list(self.model_admin.get_ordering(request))


class ReadOnlyAdmin(AnyModelAdmin):
    """A table that only kargoweb itself writes.

    `ordering`, filters and searches need an index, unless the table is known to be small. `exclude` has the wide
    columns, which are not read at all.
    """

    actions = None
    exclude: ClassVar[tuple[str, ...]] = ()
    list_per_page = 50
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return `IndexedChangeList`."""
        return IndexedChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows without the excluded columns."""
        return super().get_queryset(request).defer(*self.exclude)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Return whether a filter of the list has this parameter. Django would allow all columns, indexed or not."""
        return any(getattr(each, "parameter_name", "") == lookup for each in self.get_list_filter(request))


class OutcomeFilter(admin.SimpleListFilter):
    """Deliveries of one outcome, unless the list is searched: no index has both repositories and outcomes."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the outcomes and their labels; none during a search, when Django leaves the filter out."""
        return [] if request.GET.get(SEARCH_VAR) else list(Outcome.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """Return the deliveries of the chosen outcome, through its index."""
        chosen = self.value()
        return queryset.filter(of_outcome(Outcome(chosen))) if chosen in Outcome.values else queryset


@admin.register(Delivery, site=site)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries, the latest first. kargoweb's own page of a delivery has the request and the verdicts."""

    exclude = ("verdicts", "headers", "stored_body")
    list_display = (
        "received_at",
        "repository",
        "tag",
        "project",
        "receiver",
        "status",
        "outcome",
        "ended_at",
    )
    list_filter = (OutcomeFilter,)
    ordering = ("-received_at",)  # without the id, which the indexes of open outcomes don't have
    search_fields = ("repository", "tag")
    search_help_text = "A repository, with or without a tag: example/app:1.2.3. A search finds all outcomes."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the deliveries of a repository, or of one of its tags; False, because none appears twice."""
        if not search_term:
            return queryset, False
        repository, _, tag = search_term.strip().partition(":")
        deliveries = queryset.filter(UNDERSTOOD, repository=repository)
        return deliveries.filter(UNDERSTOOD, tag=tag) if tag else deliveries, False

    def view_on_site(self, obj: Delivery) -> str:
        """Return the address of the page of the delivery."""
        return reverse("delivery", args=[obj.pk])


@admin.register(Refresh, site=site)
class RefreshAdmin(ReadOnlyAdmin):
    """Refreshes, the latest first. kargoweb's own page of the delivery has the history."""

    exclude = ("history",)
    list_display = (
        "__str__",
        "project",
        "warehouse",
        "state",
        "outcome",
        "attempts",
        "requested_at",
        "ended_at",
    )
    ordering = ("-id",)
    search_fields = ("project", "warehouse")
    search_help_text = "A Warehouse with its project: storefront/web"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the refreshes of a Warehouse; False, because none appears twice."""
        if not search_term:
            return queryset, False
        project, _, warehouse = search_term.strip().partition("/")
        return queryset.filter(project=project, warehouse=warehouse), False

    def view_on_site(self, obj: Refresh) -> str:
        """Return the address of the page of the delivery."""
        return reverse("delivery", args=[obj.delivery_id])


@admin.register(Audit, site=site)
class AuditAdmin(ReadOnlyAdmin):
    """The audit log, the latest entries first. kargoweb's own page goes back to the oldest one."""

    list_display = ("at", "user", "action", "project", "receiver", "detail", "address")
    ordering = ("-at", "-id")


@admin.register(ReceiverUrl, site=site)
class ReceiverUrlAdmin(ReadOnlyAdmin):
    """Receiver URLs, the latest first, without the hash of the digest. The digest itself is not stored."""

    exclude = ("digest_hash",)
    list_display = ("url_suffix", "kind", "project", "receiver", "first_seen_at", "retired_at")
    ordering = ("-id",)
    search_fields = ("project__exact",)
    search_help_text = "A project"


@admin.register(UnknownCall, site=site)
class UnknownCallAdmin(ReadOnlyAdmin):
    """Requests to unknown URLs, the latest first."""

    list_display = ("last_at", "kind", "url_suffix", "client_address", "user_agent", "count", "first_at")
    ordering = ("-last_at", "-id")


@admin.register(MissedPush, site=site)
class MissedPushAdmin(ReadOnlyAdmin):
    """Pushes that Docker Hub did not send, the latest first."""

    list_display = ("last_at", "project", "warehouse", "repository", "tag", "freight", "count", "first_at")
    ordering = ("-last_at", "-id")


@admin.register(ProjectDelivery, site=site)
class ProjectDeliveryAdmin(ReadOnlyAdmin):
    """Projects that deliveries to cluster receivers concern, the latest first."""

    list_display = ("received_at", "project", "delivery_id")
    ordering = ("-received_at", "-delivery_id")


@admin.register(KargoController, site=site)
class KargoControllerAdmin(ReadOnlyAdmin):
    """Kargo's controllers by shard. There are never many."""

    list_display = ("shard", "until")
    ordering = ("shard",)


@admin.register(Mute, site=site)
class MuteAdmin(ReadOnlyAdmin):
    """Muted findings, the latest first. There are never many."""

    list_display = ("at", "key", "project", "user", "note", "seen_at")
    ordering = ("-at", "key")


@admin.register(AlertChannel, site=site)
class AlertChannelAdmin(ReadOnlyAdmin):
    """Alert channels, of which there are few. Addresses and keys are encrypted, and not shown."""

    list_display = ("name", "project", "kind", "severity", "enabled", "created_by")
    ordering = ("project", "name")
    exclude = ("address", "signing_key")


@admin.register(Alert, site=site)
class AlertAdmin(ReadOnlyAdmin):
    """Alerts, the latest first."""

    list_display = ("opened_at", "ended_at", "end", "severity", "project", "title")
    ordering = ("-id",)


@admin.register(AlertMessage, site=site)
class AlertMessageAdmin(ReadOnlyAdmin):
    """Alert messages, the latest first."""

    list_display = ("created_at", "channel", "title", "attempts", "sent_at", "answer")
    list_select_related = ("channel",)
    ordering = ("-id",)


@admin.register(AlertNotice, site=site)
class AlertNoticeAdmin(ReadOnlyAdmin):
    """Which alerts go to which channels, the latest first."""

    list_display = ("created_at", "channel", "alert", "resolved", "message")
    list_select_related = ("channel", "alert", "message")
    ordering = ("-id",)


@admin.register(PushFailure, site=site)
class PushFailureAdmin(ReadOnlyAdmin):
    """Failed deliveries for which no alerts have been created yet."""

    list_display = ("id", "delivery")
    ordering = ("-id",)


@admin.register(WarehouseEvent, site=site)
class WarehouseEventAdmin(ReadOnlyAdmin):
    """Kubernetes Events about pushes, the latest first."""

    list_display = ("at", "project", "warehouse", "reason", "text", "name", "due_at", "attempts")
    ordering = ("-at",)


@admin.register(AlertDuty, site=site)
class AlertDutyAdmin(ReadOnlyAdmin):
    """The replica that sends alerts; one row."""

    list_display = ("id", "held_by")
    ordering = ("id",)


@admin.register(ApiToken, site=site)
class ApiTokenAdmin(ReadOnlyAdmin):
    """API tokens, the newest first; without their hashes."""

    list_display = ("user", "name", "hint", "scope", "project", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    ordering = ("-id",)
    exclude = ("secret_hash",)


@admin.register(ProviderIdentity, site=site)
class ProviderIdentityAdmin(ReadOnlyAdmin):
    """Who users are at the OpenID Connect provider."""

    list_display = ("user", "issuer", "subject")
    list_select_related = ("user",)
    search_fields = ("user__username", "subject")
    ordering = ("user__username", "pk")


@admin.register(SavedView, site=site)
class SavedViewAdmin(ReadOnlyAdmin):
    """Saved views of the lists, by person."""

    list_display = ("user", "page", "name", "query")
    list_select_related = ("user",)
    ordering = ("user_id", "page", "pk")


@admin.register(Downtime, site=site)
class DowntimeAdmin(ReadOnlyAdmin):
    """Times in which pushes were not received, the latest first. There are never many."""

    list_display = ("since", "until", "caught_up_at")
    ordering = ("-since",)


@admin.register(Replica, site=site)
class ReplicaAdmin(ReadOnlyAdmin):
    """Serving processes, the most recently seen first. There are never many."""

    list_display = ("seen_at", "host", "version", "started_at")
    ordering = ("-seen_at", "id")


@admin.register(HourlyFigure, site=site)
class HourlyFigureAdmin(ReadOnlyAdmin):
    """Pushes per hour by outcome, the latest first."""

    list_display = ("hour", "scope", "project", "receiver", "measure", "count")
    ordering = ("-hour", "-id")


@admin.register(RolledUpHour, site=site)
class RolledUpHourAdmin(ReadOnlyAdmin):
    """Hours whose figures are computed, the latest first. There are never many."""

    list_display = ("hour", "computed_at", "unfinished")
    ordering = ("-hour",)
