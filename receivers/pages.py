"""The page for people: projects, their receiver URLs, the last deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from receivers import runtime
from receivers.models import Delivery
from receivers.rules.kinds import KINDS
from receivers.rules.resources import ReceiverConfig, Warehouse

DELIVERIES_SHOWN: Final = 50


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
    """One project, or the cluster receivers (`name` is empty)."""

    name: str
    receivers: tuple[ReceiverRow, ...]
    warehouses: tuple[Warehouse, ...]


@login_required
@never_cache
@require_safe
def home(request: Any) -> HttpResponse:
    """List projects, receivers and the last deliveries; for HTMX only the deliveries."""
    deliveries = Delivery.objects.defer("verdicts", "headers", "body").order_by("-received_at", "-id")[
        :DELIVERIES_SHOWN
    ]
    if request.htmx.target == "deliveries":
        return render(request, "_deliveries.html", {"deliveries": deliveries})
    mirror = runtime.current().mirror
    context = {
        "projects": project_rows(request.GET.get("show", "")),
        "deliveries": deliveries,
        "mirror_ready": mirror.ready,
        "freshness": mirror.freshness(),
    }
    return render(request, "home.html", context)


def project_rows(shown: str) -> list[ProjectRow]:
    """Return the cluster receivers (if there are any) and every project, with the URL of the receiver `shown`."""
    mirror = runtime.current().mirror
    names = {project.name for project in mirror.projects()}
    configs = {config.project: config for config in mirror.configs()}
    return [
        ProjectRow(
            name=name,
            receivers=receiver_rows(configs[name], shown) if name in configs else (),
            warehouses=mirror.warehouses(name),
        )
        for name in sorted(names | configs.keys())
    ]


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
