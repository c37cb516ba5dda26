"""What a filter asks for as a file, CSV or JSON: written page by page while it is read, and bounded."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, Final

from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access, page_view
from receivers.deliveries import serializers
from receivers.deliveries.bounded_scan import LOOKED_AT
from receivers.deliveries.pagination import Position
from receivers.deliveries.querysets import LONGEST_PAGE
from receivers.web.delivery_list import listed
from receivers.web.filter_form import FilterForm, read_form

MOST_ROWS: Final = 10_000
"""Rows of one file: more than a spreadsheet is pleasant with, some seconds of work. Older ones are had by `until`."""

MOST_PAGES: Final = (
    200  # that are looked through, a million deliveries, where a filter leaves most of them out
)
MOST_LOOKED_AT: Final = MOST_PAGES * LOOKED_AT
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""

COLUMNS: Final = (
    "id", "received_at", "origin", "project", "receiver", "kind", "repository", "tag", "media_type", "pusher",
    "pushed_at", "outcome", "tone", "reason", "ended_at", "status", "duration_ms", "warehouses", "push_id",
    "repeats", "original", "actor",
)  # fmt: skip
TYPES: Final = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@page_view
@require_safe
def export(request: Any, kind: str) -> HttpResponse:
    """Send the deliveries that the address asks for as a file; 400 and a sentence if it asks for nonsense."""
    form = read_form(request.GET)
    if form.wanted is None:
        problems = [f"{one.question.name} {one.error}" for one in form.fields if one.error]
        return HttpResponse("\n".join(problems) + "\n", status=400, content_type="text/plain; charset=utf-8")
    lines = {"csv": _csv, "json": _json}[kind](_Rows(form, request.access))
    answer = StreamingHttpResponse(lines, content_type=TYPES[kind])
    answer["Content-Disposition"] = f'attachment; filename="deliveries.{kind}"'
    answer["X-Kargoweb-Most-Rows"] = str(MOST_ROWS)
    return answer  # type: ignore[return-value]  # Django's type of a streamed answer is not that of others


class _Rows:
    """The deliveries, page after page. Once all were read, `next` is the cursor of what was left out, if anything."""

    def __init__(self, form: FilterForm, access: Access) -> None:
        self._form = form
        self._access = access
        self.next = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        count = 0
        for _ in range(MOST_PAGES):
            size = min(LONGEST_PAGE, MOST_ROWS - count)
            found = listed(self._form, self._access, self.next, size)
            for row in found.rows:
                yield serializers.summary(row)
            count += len(found.rows)
            self.next = found.next
            if not self.next or count >= MOST_ROWS:
                return

    @property
    def note(self) -> str:
        """Return a sentence about what was left out; empty if nothing was."""
        if not self.next:
            return ""
        until = serializers.moment(Position.read(self.next).received_at)
        most = f"a file has {MOST_ROWS} deliveries at most, out of {MOST_LOOKED_AT:,} that are looked at"
        return f"This is not all: {most}. Older ones: until={until}"


class _Echo:
    """A file for `csv` that gives back what is written."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: _Rows) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([_cell(row[name]) for name in COLUMNS])
    if rows.note:
        yield writer.writerow([rows.note])


def _cell(value: Any) -> Any:
    """Return a value as a spreadsheet shows it and does not calculate it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _json(rows: _Rows) -> Iterator[str]:
    yield '{"deliveries": ['
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n") + json.dumps(row)
    yield f'\n], "most": {MOST_ROWS}, "next": {json.dumps(rows.next)}, "note": {json.dumps(rows.note)}}}\n'
