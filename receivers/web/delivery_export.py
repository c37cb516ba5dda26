"""Export of filtered deliveries as CSV or JSON, with a bounded number of rows and of simultaneous exports."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from typing import Any, Final

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access
from receivers.deliveries.bounded_scan import LOOKED_AT
from receivers.deliveries.delivery_page import Position
from receivers.deliveries.escaping import escape_invisible
from receivers.deliveries.form_fields import form_errors
from receivers.deliveries.querysets import MAX_PAGE_SIZE
from receivers.deliveries.serializers import DeliverySerializer, isoformat
from receivers.web.delivery_list import listed
from receivers.web.filter_form import FilterForm
from receivers.web.page_view import PageRequest, page_view
from receivers.web.time_zone import zone_of

MOST_ROWS: Final = 10_000
"""Rows per file: more than is convenient in a spreadsheet, and some seconds of work. `until` selects older ones."""

# Pages read at most, about a million deliveries, when a filter matches few of them.
MOST_PAGES: Final = 200
MOST_LOOKED_AT: Final = MOST_PAGES * LOOKED_AT
FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters with which spreadsheets start a formula, also full-width. Source: OWASP, CSV Injection."""

COLUMNS: Final = DeliverySerializer.Meta.fields
TYPES: Final = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


AT_ONCE: Final = 2
"""Exports that are put together at the same time. Each takes some seconds of the interpreter, and up to 30 MB."""

RETRY_AFTER: Final = 5  # seconds

_slots: Final = threading.BoundedSemaphore(AT_ONCE)


@page_view
@require_safe
def export(request: PageRequest, kind: str) -> HttpResponse:
    """Return the filtered deliveries as a file.

    Return 400 with the reasons if the filter is invalid, and 503 while too many exports are put together.
    """
    form = FilterForm(request.GET, zone_of(request))
    if not form.is_valid():
        problems = "\n".join(form_errors(form))
        return HttpResponse(f"{problems}\n", status=400, content_type="text/plain; charset=utf-8")
    if not _slots.acquire(blocking=False):
        return HttpResponse(
            "Too many exports at the same time. Try again in a few seconds.\n",
            status=503,
            content_type="text/plain; charset=utf-8",
            headers={"Retry-After": str(RETRY_AFTER)},
        )
    try:
        content = "".join({"csv": _csv, "json": _json}[kind](_ExportRows(form, request.access)))
    finally:
        _slots.release()
    response = HttpResponse(content, content_type=TYPES[kind])
    response["Content-Disposition"] = f'attachment; filename="deliveries.{kind}"'
    response["X-Kargoweb-Most-Rows"] = str(MOST_ROWS)
    return response


class _ExportRows:
    """Iterates over the deliveries page by page. Afterwards, `next` is the cursor of the rows left out, if any."""

    def __init__(self, form: FilterForm, access: Access) -> None:
        self._form = form
        self._access = access
        self.next = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        count = 0
        for _ in range(MOST_PAGES):
            size = min(MAX_PAGE_SIZE, MOST_ROWS - count)
            page = listed(self._form, self._access, self.next, size)
            yield from DeliverySerializer(page.rows, many=True).data
            count += len(page.rows)
            self.next = page.next
            if not self.next or count >= MOST_ROWS:
                return

    @property
    def note(self) -> str:
        """Return a sentence about the rows left out, empty if none were."""
        if not self.next:
            return ""
        until = isoformat(Position.read(self.next).received_at)
        limits = f"{MOST_ROWS} rows per file, found in at most {MOST_LOOKED_AT:,} deliveries"
        return f"This file is incomplete ({limits}). To export older deliveries, set until={until}"


class _Echo:
    """A file-like object for `csv` that returns what is written."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: _ExportRows) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([_cell(row[name]) for name in COLUMNS])
    if rows.note:
        yield writer.writerow([rows.note])


def _cell(value: Any) -> Any:
    """Return a value that a spreadsheet displays and doesn't evaluate, and that can't control a terminal."""
    if not isinstance(value, str):
        return value
    text = escape_invisible(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _json(rows: _ExportRows) -> Iterator[str]:
    yield '{"deliveries": ['
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n") + json.dumps(row)
    yield f'\n], "most": {MOST_ROWS}, "next": {json.dumps(rows.next)}, "note": {json.dumps(rows.note)}}}\n'
