"""Search: everything that a text may name, grouped; the best hit first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access
from receivers.cluster.cache import ClusterCache
from receivers.deliveries import search_queries, visibility
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.form_fields import ShortTextField
from receivers.deliveries.push_names import push_name
from receivers.deliveries.pushes import PushEntry, push_page, pushes_of
from receivers.kargo.coverage import is_on_docker_hub
from receivers.kargo.kinds import kind_title
from receivers.models import Delivery, Refresh
from receivers.web.links import project_url, push_url, pushes_url
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_rows import push_rows
from receivers.web.time_zone import zone_of

FEW: Final = 5  # hits of one kind
LEAST_TEXT: Final = 3  # characters from which on words are searched in the log
MARKS_WITHOUT_STAGES: Final = 2  # received and Freight, which the outcome says already
PALETTE: Final = "found"


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that the text may name. `name` and `strong` are its name in two parts; `note` says where it stands.

    `kind` is that of a receiver, whose icon it has then.
    """

    url: str
    name: str
    strong: str = ""
    note: str = ""
    kind: str = ""
    tone: str = ""
    icon: str = "projects"
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The hits of one kind."""

    title: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result: groups in the order of relevance. `exact` says that the first hit is just what the text names.

    `searched_to` is set if words were not searched in all pushes, but only in those since that time.
    """

    groups: tuple[Group, ...] = ()
    exact: bool = False
    searched_to: datetime | None = None

    @property
    def best(self) -> Hit | None:
        """Return the hit that Enter opens."""
        return self.groups[0].hits[0] if self.groups else None

    @property
    def count(self) -> int:
        """Return the number of hits."""
        return sum(len(group.hits) for group in self.groups)


@page_view
@require_safe
def search(request: PageRequest) -> HttpResponse:
    """Show what a text names: to HTMX as the panel below the search field, otherwise as a page.

    With `go`, which the field in the header sends, redirect to the hit if the text is its exact name.
    """
    error = ""
    try:
        text = str(ShortTextField(required=False).clean(request.GET.get("q", "")))
    except ValidationError as invalid:
        text, error = "", f"The text {invalid.messages[0]}."
    result = find(request, text) if text else SearchResult()
    if "go" in request.GET and result.exact and result.best:
        return redirect(result.best.url)
    context = {
        "result": result,
        "text": text,
        "error": error,
        "search_query": request.GET.get("q", ""),
        "pushes_url": pushes_url(text=text),
    }
    panel = request.htmx.target == PALETTE
    return render(request, "search/_results.html" if panel else "search/search.html", context)


def find(request: PageRequest, text: str) -> SearchResult:
    """Return what the text names, as far as the user may see it. A bounded number of index lookups."""
    lower = text.lower()
    seen = request.access.projects
    freight = search_queries.refreshes_by_freight(lower, seen)
    named = _named(text, lower, freight, seen)
    pushes = pushes_of(named, seen, FEW)
    groups = [
        Group("Pushes", tuple(_pushes(request, pushes))),
        Group("Freight", tuple(_freight(request, lower, freight, pushes))),
        Group("Projects", tuple(_projects(request.runtime.cache, request.access, lower))),
        Group("Warehouses", tuple(_warehouses(request.runtime.cache, request.access, lower))),
        Group("Receivers", tuple(_receivers(request.runtime.cache, request.access, lower))),
        Group("Repositories", tuple(_repositories(request.runtime.cache, request.access, lower))),
    ]
    searched_to = None
    # An artifact that is named in full, so words would add nothing. Only if the reader sees it: otherwise the
    # difference would tell that other projects have it.
    is_artifact = bool(pushes) and ":" in text
    if len(pushes) < FEW and len(text) >= LEAST_TEXT and not is_artifact:
        page = push_page(visibility.limited(DeliveryFilter(text=text), request.access), size=FEW)
        searched_to = page.looked_to
        known = {entry.push_id for entry in pushes}
        others = [entry for entry in page.rows if entry.push_id not in known]
        hits = tuple(_pushes(request, others[: FEW - len(pushes)]))
        groups.append(Group("Recent pushes with these words", hits))
    shown = [group for group in groups if group.hits]
    exact = bool(pushes) or any(hit.name.lower() == lower for group in shown[:1] for hit in group.hits[:1])
    return SearchResult(tuple(shown), exact, searched_to)


def _named(text: str, lower: str, freight: list[Refresh], seen: Collection[str] | None) -> list[Delivery]:
    """Return the deliveries that the text names exactly, by the first of the ways to name one that fits."""
    repository, colon, tag = text.rpartition(":")
    if colon and (rows := _of_repository(repository, tag)):
        return rows
    if rows := search_queries.by_id(text) or search_queries.by_tag(text):
        return rows
    if "/" in text and (rows := _of_repository(text, "")):
        return rows
    return search_queries.of_refreshes(freight or search_queries.refreshes_by_digest(lower, seen))


def _of_repository(repository: str, tag: str) -> list[Delivery]:
    """Return the deliveries of a repository; if its capitals don't fit, of the one without, as registries have it."""
    name = repository.removeprefix("docker.io/")
    rows = search_queries.by_artifact(name, tag)
    return rows or (search_queries.by_artifact(name.lower(), tag) if name != name.lower() else [])


def _pushes(request: PageRequest, entries: Iterable[PushEntry]) -> Iterator[Hit]:
    for row in push_rows(list(entries), request.runtime.stages, zone_of(request)):
        has_stages = len(row.reach.marks) > MARKS_WITHOUT_STAGES
        note = f"{row.state.word}, {row.reach.words}" if has_stages else row.state.word
        tag = f":{row.tag}" if row.tag else ""
        state = row.state
        yield Hit(row.url, row.repository, tag, note, tone=state.tone, icon=state.icon, at=row.received_at)


def _freight(
    request: PageRequest, text: str, refreshes: list[Refresh], pushes: Iterable[PushEntry]
) -> Iterator[Hit]:
    """Yield Freight by alias or name: from the log, which leads to its push, and otherwise from memory."""
    by_delivery = {row.pk: entry for entry in pushes for row in entry.deliveries}
    shown: set[tuple[str, str]] = set()
    for refresh in refreshes:
        entry = by_delivery.get(refresh.delivery_id)
        if entry is None or (refresh.project, refresh.freight) in shown or len(shown) == FEW:
            continue
        shown.add((refresh.project, refresh.freight))
        artifact = push_name(entry.decisive.repository, entry.decisive.tag)
        name = refresh.freight_alias or refresh.freight
        yield Hit(push_url(entry.push_id), name, note=f"{artifact} in {refresh.project}")
    stages = request.runtime.stages
    if stages is None:
        return
    for freight in stages.freight_by_alias_or_name(text, request.access.projects):
        if (freight.project, freight.name) in shown or len(shown) == FEW:
            continue
        shown.add((freight.project, freight.name))
        artifacts = ", ".join(f"{image.repository}:{image.tag}" for image in freight.artifacts)
        note = f"{artifacts} in {freight.project}"
        yield Hit(project_url(freight.project), freight.alias or freight.name, note=note)


def _projects(cache: ClusterCache, access: Access, text: str) -> Iterator[Hit]:
    names = (project.name for project in cache.projects() if text in project.name)
    for name in _closest(text, (name for name in names if _sees(access, name))):
        yield Hit(project_url(name), name)


def _warehouses(cache: ClusterCache, access: Access, text: str) -> Iterator[Hit]:
    matching = (
        (warehouse.name, warehouse.project)
        for warehouse in cache.warehouses()
        if text in warehouse.name and _sees(access, warehouse.project)
    )
    for name, project in _closest_pairs(text, matching):
        yield Hit(f"{project_url(project)}?warehouse={name}#warehouse-{name}", name, note=f"in {project}")


def _receivers(cache: ClusterCache, access: Access, text: str) -> Iterator[Hit]:
    kinds = {
        (receiver.name, config.project): receiver.kind
        for config in cache.configs()
        if _sees(access, config.project)
        for receiver in config.receivers
        if text in receiver.name
    }
    for name, project in _closest_pairs(text, kinds):
        kind = kinds[name, project]
        where = f"in {project}" if project else "cluster receiver"
        yield Hit(
            f"{project_url(project)}#receiver-{name}", name, note=f"{kind_title(kind)}, {where}", kind=kind
        )


def _repositories(cache: ClusterCache, access: Access, text: str) -> Iterator[Hit]:
    names = {
        subscription.repository
        for warehouse in cache.warehouses()
        if _sees(access, warehouse.project)
        for subscription in warehouse.subscriptions
        if text in subscription.repository and is_on_docker_hub(subscription)
    }
    for name in _closest(text, names):
        yield Hit(pushes_url(repository=name), name, note="its pushes", icon="pushes")


def _sees(access: Access, project: str) -> bool:
    return access.projects is None or project in access.projects


def _closest(text: str, names: Iterable[str]) -> list[str]:
    """Return the first names: those that are the text, then those that start with it, then the others."""
    return sorted(names, key=lambda name: (name != text, not name.startswith(text), name))[:FEW]


def _closest_pairs(text: str, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: (pair[0] != text, not pair[0].startswith(text), pair))[:FEW]
