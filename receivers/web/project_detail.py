"""A project, or the cluster receivers: receivers and how to register them, Warehouses, recent deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Action, may, require_permission
from receivers.deliveries import statistics, visibility
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.pushes import push_page
from receivers.health.finding import Subject
from receivers.kargo.coverage import DOCKER_HUB
from receivers.kargo.resources import ReceiverConfig, Warehouse
from receivers.kargo.scopes import ReceiverKey
from receivers.models import Delivery
from receivers.web import kargo_links, live_fragments
from receivers.web.finding_rows import FindingRow, SubjectKey, by_subject
from receivers.web.links import project_url
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_rows import PushRow, push_rows
from receivers.web.receiver_rows import ReceiverRow, receiver_rows
from receivers.web.registrations import checklists
from receivers.web.time_zone import zone_of
from receivers.web.warehouse_rows import warehouse_rows
from receivers.web.weeks import weeks_of_receivers

PROJECT: Final = "project-page"
RECENT: Final = 10  # pushes
FINDINGS_SHOWN: Final = 10  # a project may have one for each Warehouse; Needs action has all
WAREHOUSES_SHOWN: Final = 50  # on a page; a project may have thousands


@page_view
@require_safe
def project(request: PageRequest, name: str) -> HttpResponse:
    """Show a project, or the cluster receivers if `name` is empty; or for HTMX its content if it has changed."""
    require_permission(request, Action.SEE, name)
    return _page(request, name)


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def receiver(request: PageRequest, name: str, receiver: str) -> HttpResponse:
    """Reveal a receiver's URL on POST. On GET, redirect to its place on the page of its project."""
    require_permission(request, Action.REVEAL_URL if request.method == "POST" else Action.SEE, name)
    row = _receiver(request, name, receiver, reveal=request.method == "POST")
    if request.method == "POST":
        return _reveal(request, row)
    return redirect(f"{project_url(name)}#receiver-{receiver}")


def _reveal(request: PageRequest, row: ReceiverRow) -> HttpResponse:
    """Show a URL, which is a credential: this is audited, and `page_view` keeps caches from storing the response."""
    if not row.url:
        raise Http404
    audit.record(request, Action.REVEAL_URL, project=row.project, receiver=row.name)
    if request.htmx:
        return render(request, "projects/_receiver_url.html", {"receiver": row, "may_reveal": True})
    return _page(request, row.project, revealed=row.name)


def _receiver(request: PageRequest, name: str, receiver: str, *, reveal: bool) -> ReceiverRow:
    config = request.runtime.cache.config(name)
    rows = receiver_rows(
        config,
        _last(name, config),
        receiver if reveal else "",
        upstream=request.runtime.intake.upstream,
    )
    for row in rows:
        if row.name == receiver:
            return row
    raise Http404


def _page(request: PageRequest, name: str, revealed: str = "") -> HttpResponse:
    cache = request.runtime.cache
    config = cache.config(name)
    exists = not name or config is not None or any(project.name == name for project in cache.projects())
    last = _last(name, config)
    if not exists and cache.ready and not last:
        raise Http404
    findings = by_subject(request.runtime.health.report(), request.access, name)
    warehouses = cache.warehouses(name or None)
    upstream = request.runtime.intake.upstream
    rows = receiver_rows(config, last, revealed, findings, upstream=upstream)
    receivers = _with_history(rows, name, warehouses)
    context = {
        "name": name,
        "exists": exists or not cache.ready,
        "receivers": receivers,
        **_findings(receivers, findings),
        "may_reveal": may(request.user, Action.REVEAL_URL, name),
        "may_fire": may(request.user, Action.TEST_FIRE, name),
        "recent": _recent(request, name),
        "warehouse_count": len(warehouses),
        "kargo_url": kargo_links.project_url(name),
        "median": statistics.push_to_freight([name]).get(name) if name else None,
        **(_warehouses(request, name, config, findings) if name else {}),
    }
    part = live_fragments.render_fragment(request, "projects/_project.html", context)
    if request.htmx.target == PROJECT:
        return live_fragments.respond(request, part)
    return render(request, "projects/detail.html", context | {"part": part})


def _with_history(
    rows: Sequence[ReceiverRow], name: str, warehouses: Sequence[Warehouse]
) -> list[ReceiverRow]:
    """Return receivers with their last seven days and their registration checklists. Three queries."""
    called = [row.name for row in rows if row.kind == DOCKER_HUB and row.masked]
    lists = checklists(name, called, warehouses) if called else {}
    weeks = weeks_of_receivers(name) if rows else {}
    return [replace(row, week=weeks.get(row.name), checklist=lists.get(row.name)) for row in rows]


def _last(name: str, config: ReceiverConfig | None) -> dict[ReceiverKey, Delivery]:
    receivers = [(name, receiver.name) for receiver in config.receivers] if config else ()
    return statistics.last_deliveries([name], receivers, pushes=True)


def _recent(request: PageRequest, name: str) -> list[PushRow]:
    wanted = visibility.limited(DeliveryFilter(project=name), request.access)
    return push_rows(push_page(wanted, size=RECENT).rows, request.runtime.stages, zone_of(request))


def _findings(
    receivers: Sequence[ReceiverRow], findings: Mapping[SubjectKey, Sequence[FindingRow]]
) -> Mapping[str, Any]:
    """Return the most urgent findings, the muted ones, and how many more there are.

    Rows of receivers have left out what may be outdated. Findings of removed receivers are included.
    """
    shown = {receiver.name: receiver.findings for receiver in receivers}
    rows = sorted(
        chain.from_iterable(
            shown.get(name, rows) if subject is Subject.RECEIVER else rows
            for (subject, name), rows in findings.items()
        ),
        key=lambda row: row.finding.severity.rank,
    )
    open_ = [row for row in rows if row.muted is None]
    return {
        "findings": open_[:FINDINGS_SHOWN],
        "more_findings": len(open_[FINDINGS_SHOWN:]),
        "muted": [row for row in rows if row.muted is not None][:FINDINGS_SHOWN],
    }


def _warehouses(
    request: PageRequest,
    name: str,
    config: ReceiverConfig | None,
    findings: Mapping[SubjectKey, Sequence[FindingRow]],
) -> Mapping[str, Any]:
    cache = request.runtime.cache
    all_ = cache.warehouses(name)
    shown = Paginator(all_, WAREHOUSES_SHOWN).get_page(request.GET.get("page") or _page_of(request, all_))
    configs = [each for each in (config, cache.config("")) if each is not None]
    newest = request.runtime.newest_freight.of
    return {
        "warehouses": warehouse_rows(name, list(shown.object_list), configs, findings, newest),
        "page": shown,
        "page_url": project_url(name),
        "sees_all": request.access.projects is None,
    }


def _page_of(request: PageRequest, warehouses: Sequence[Warehouse]) -> int:
    """Return the number of the page with the Warehouse named in the address, or 1."""
    name = request.GET.get("warehouse", "")
    index = next((index for index, warehouse in enumerate(warehouses) if warehouse.name == name), 0)
    return index // WAREHOUSES_SHOWN + 1
