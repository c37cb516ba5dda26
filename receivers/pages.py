"""The page for people: projects, their receiver URLs, the last deliveries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from receivers import runtime
from receivers.models import Delivery
from receivers.rules.kinds import KINDS
from receivers.rules.resources import ReceiverConfig

DELIVERIES_SHOWN: Final = 50
WAREHOUSES_SHOWN: Final = 20  # names of one project; a project may have thousands
# What the list shows and no more: dictionaries, so that a template that asks for more gets nothing and no query.
DELIVERY_COLUMNS: Final = (
    "received_at", "project", "receiver", "repository", "tag",
    "status", "outcome", "reason", "warehouses", "duration_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """One receiver as the page shows it. `url` is empty unless somebody asked to see it."""

    name: str
    kind: str
    key: str
    published: bool
    url: str
    problem: str


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """One project, or the cluster receivers (`name` is empty). `more` Warehouses are there but not named."""

    name: str
    receivers: tuple[ReceiverRow, ...]
    warehouses: tuple[str, ...]
    more: int


@never_cache
@require_safe
def home(request: Any) -> HttpResponse:
    """List projects, receivers and the last deliveries; for HTMX only the deliveries, if they have changed."""
    if not request.user.is_authenticated:
        # A part of a page has no room for the sign-in page.
        return HttpResponseClientRefresh() if request.htmx else redirect_to_login(request.get_full_path())
    rows = delivery_rows()
    if request.htmx.target == "deliveries":
        # 204: HTMX leaves the page alone, with what somebody has selected in it.
        unchanged = request.GET.get("seen") == rows["seen"]
        return HttpResponse(status=204) if unchanged else HttpResponse(rows["html"])
    mirror = runtime.current().mirror
    context = {
        "projects": project_rows(request.GET.get("show", "")),
        "deliveries": rows["html"],
        "mirror_ready": mirror.ready,
        "faults": [one for one in mirror.freshness() if one.error],
    }
    return render(request, "home.html", context)


def delivery_rows() -> Mapping[str, str]:
    """Return the table of the last deliveries: `html`, safe to show, and `seen`, which differs when the rows do."""
    newest = Delivery.objects.order_by("-received_at", "-id").values(*DELIVERY_COLUMNS)
    deliveries: Sequence[Mapping[str, Any]] = newest[:DELIVERIES_SHOWN]
    seen = hashlib.sha256(repr(list(deliveries)).encode()).hexdigest()[:16]
    return {
        "html": render_to_string("_deliveries.html", {"deliveries": deliveries, "seen": seen}),
        "seen": seen,
    }


def project_rows(shown: str) -> list[ProjectRow]:
    """Return the cluster receivers (if there are any) and every project, with the URL of the receiver `shown`."""
    mirror = runtime.current().mirror
    names = {project.name for project in mirror.projects()}
    configs = {config.project: config for config in mirror.configs()}
    return [
        project_row(name, configs.get(name), [one.name for one in mirror.warehouses(name)], shown)
        for name in sorted(names | configs.keys())
    ]


def project_row(
    name: str, config: ReceiverConfig | None, warehouses: Sequence[str], shown: str
) -> ProjectRow:
    """Return a project with its receivers, if `config` has any, and its first Warehouses by name."""
    return ProjectRow(
        name=name,
        receivers=receiver_rows(config, shown) if config else (),
        warehouses=tuple(sorted(warehouses)[:WAREHOUSES_SHOWN]),
        more=max(0, len(warehouses) - WAREHOUSES_SHOWN),
    )


def receiver_rows(config: ReceiverConfig, shown: str) -> tuple[ReceiverRow, ...]:
    """Return the receivers of the specification, each with its URL if it is `shown` and with what is wrong with it."""
    published = {url.name: url for url in config.published}
    problem = next(
        (one.message for one in config.conditions if one.type == "Ready" and one.status != "True"), ""
    )
    rows = []
    for receiver in config.receivers:
        key = f"{config.project}/{receiver.name}"
        url = published.get(receiver.name)
        rows.append(
            ReceiverRow(
                name=receiver.name,
                kind=KINDS[receiver.kind].title if receiver.kind in KINDS else receiver.kind,
                key=key,
                published=url is not None,
                url=url.url if url and key == shown else "",
                problem="" if url else problem or "Kargo has not published a URL for this receiver yet.",
            )
        )
    return tuple(rows)
