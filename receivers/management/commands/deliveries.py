"""`manage.py deliveries list|show|follow`: read the delivery log on the command line."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, Final

from receivers.deliveries.bounded_scan import NEWEST_FIRST
from receivers.deliveries.delivery_page import DeliveryPage, InvalidCursor
from receivers.deliveries.filters import DeliveryFilter, DeliveryFilterForm
from receivers.deliveries.form_fields import form_errors
from receivers.deliveries.outcomes import headline_of
from receivers.deliveries.querysets import MAX_PAGE_SIZE, delivery_log
from receivers.deliveries.serializers import DeliveryDetailsSerializer, DeliverySerializer, isoformat
from receivers.deliveries.visibility import DeliveryDetails, refreshes_of
from receivers.management.console import (
    ConsoleCommand,
    ExitCode,
    fail,
    find_delivery,
    receiver_name,
    table,
    utc_time,
)
from receivers.management.delivery_progress import FOLLOW_SECONDS, ProgressEvent, event_label, follow
from receivers.management.delivery_text import as_text
from receivers.models import Delivery

DEFAULT_LIMIT: Final = 20  # rows; they fit a terminal
MAX_PAGES_SCANNED: Final = 200  # for one list: a million deliveries, which takes some seconds
MAX_REDELIVERIES_SHOWN: Final = 50

FILTERS: Final = {
    "project": "a project, or cluster for cluster receivers",
    "receiver": "name of a receiver",
    "origin": "push, test, redelivery, api or catch-up",
    "kind": "kind of the receiver, such as github",
    "outcome": "outcome codes, or good, plain, bad or open; separated by commas",
    "status": "HTTP status: 404, or 4xx",
    "repository": "repository as the provider sends it or as pages show it: example/repo",
    "tag": "tag",
    "warehouse": "Warehouse that was refreshed: name or project/name",
    "since": "received at or after: a time in UTC, or an age such as 30m, 2h or 7d",
    "until": "received at or before: as for --since",
    "text": "text in repository, tag, project, receiver, pusher, reason, address or actor",
}


class Command(ConsoleCommand):
    """List, show and follow deliveries."""

    help = (
        "List deliveries, show the details of one, or follow one until it ends. Exit codes of `follow`: 0 if Freight "
        "was created or is already current, 1 for any other outcome, 2 after the timeout, 3 for an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        list_parser = actions.add_parser("list", help="list deliveries, newest first")
        for name, text in FILTERS.items():
            list_parser.add_argument(f"--{name}", default="", help=text)
        list_parser.add_argument(
            "--every",
            action="store_true",
            help="show duplicates: every delivery, not only the newest of each push",
        )
        list_parser.add_argument(
            "--limit",
            type=int,
            default=DEFAULT_LIMIT,
            help=f"maximum number of rows (default {DEFAULT_LIMIT})",
        )
        list_parser.add_argument("--after", default="", metavar="CURSOR", help="continue a previous list")
        show_parser = actions.add_parser("show", help="show the details of one delivery")
        follow_parser = actions.add_parser("follow", help="print the events of one delivery until it ends")
        follow_parser.add_argument(
            "--timeout", type=float, default=FOLLOW_SECONDS, help=f"seconds (default {FOLLOW_SECONDS:g})"
        )
        for subparser in (show_parser, follow_parser):
            subparser.add_argument("id", metavar="ID", help="id, or at least its first 8 hexadecimal digits")
        for subparser in (list_parser, show_parser, follow_parser):
            subparser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        {"list": self._list, "show": self._show, "follow": self._follow}[options["action"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= MAX_PAGE_SIZE:
            fail(f"--limit must be a number from 1 to {MAX_PAGE_SIZE}; use --after for more")
        form = DeliveryFilterForm(options)
        if form.wanted is None:
            fail(f"--{form_errors(form)[0]}")
        try:
            page = _page(form.wanted, options["after"], options["limit"], each_push_once=form.each_push_once)
        except InvalidCursor as error:
            fail(str(error))
        if options["json"]:
            rows = DeliverySerializer(page.rows, many=True).data
            self.print_json({"deliveries": rows, "next": page.next, "looked_to": isoformat(page.looked_to)})
            return
        self.print(*table(HEADERS, [_row(row) for row in page.rows]))
        if page.looked_to:
            self.print(f"Searched back to {utc_time(page.looked_to)}. Search further: --after {page.next}")
        elif page.next:
            self.print(f"Next page: --after {page.next}")

    def _show(self, options: dict[str, Any]) -> None:
        delivery = find_delivery(options["id"])
        redeliveries = list(
            delivery_log().narrow().filter(original=delivery).order_by(*NEWEST_FIRST)[:MAX_REDELIVERIES_SHOWN]
        )
        details = DeliveryDetails(delivery, refreshes_of(delivery), delivery.verdicts, redeliveries)
        everything = DeliveryDetailsSerializer(details).data
        if options["json"]:
            self.print_json(everything)
        else:
            self.print(*as_text(everything))

    def _follow(self, options: dict[str, Any]) -> None:
        pk = find_delivery(options["id"]).pk
        delivery, code = follow(
            pk, options["timeout"], self._print_event_json if options["json"] else self._print_event
        )
        if options["json"]:
            self.print_json(
                {**DeliverySerializer(delivery).data, "timed_out": code == ExitCode.TIMEOUT}, indent=None
            )
        elif code == ExitCode.TIMEOUT:
            self.stderr.write(f"The delivery has not ended within {options['timeout']:g} s.")
        else:
            self.print(f"{headline_of(delivery)}: {delivery.reason}".rstrip(": "))
        sys.exit(code)

    def _print_event(self, event: ProgressEvent) -> None:
        columns = (utc_time(event.at), event.warehouse, event_label(event.event), event.text)
        self.print("  ".join(column for column in columns if column))

    def _print_event_json(self, event: ProgressEvent) -> None:
        """Print an event as JSON on one line."""
        value = {
            "at": isoformat(event.at),
            "warehouse": event.warehouse,
            "event": event.event,
            "text": event.text,
        }
        self.print_json(value, indent=None)


HEADERS: Final = ("ID", "RECEIVED", "RECEIVER", "PUSH", "ORIGIN", "STATUS", "OUTCOME", "REASON")


def _page(delivery_filter: DeliveryFilter, after: str, limit: int, *, each_push_once: bool) -> DeliveryPage:
    """Return up to `limit` rows, which may take several bounded scans of the log."""
    rows: list[Delivery] = []
    for _ in range(MAX_PAGES_SCANNED):
        size = limit - len(rows)
        page = delivery_log().page(delivery_filter, after=after, size=size, each_push_once=each_push_once)
        rows += page.rows
        after = page.next
        if len(rows) == limit or not after:
            break
    return DeliveryPage(tuple(rows), page.next, page.looked_to if len(rows) < limit else None)


def _row(row: Delivery) -> tuple[str, ...]:
    repeats = f" x{row.repeats}" if row.repeats > 1 else ""
    push = f"{row.repository}:{row.tag}".strip(":") + repeats
    return (
        str(row.pk),
        utc_time(row.received_at),
        receiver_name(row.project, row.receiver),
        push or "-",
        row.origin,
        str(row.status) if row.status is not None else "-",
        headline_of(row),
        row.reason,
    )
