"""`manage.py deliveries list|show|follow`: the delivery log without a browser."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, Final

from receivers.deliveries import serializers
from receivers.deliveries.filters import DeliveryFilter, InvalidFilter
from receivers.deliveries.pagination import InvalidCursor, DeliveryPage
from receivers.deliveries.querysets import LONGEST_PAGE, delivery_log
from receivers.deliveries.visibility import refreshes_of
from receivers.management.console import ConsoleCommand, Exit, clock, fail, find_delivery, place, table
from receivers.management.delivery_progress import Line, follow
from receivers.management.delivery_text import as_text
from receivers.models import Delivery

LIMIT: Final = 20  # rows: a terminal's height
MOST_PAGES: Final = 200  # that are looked through for one list, a million deliveries; some seconds
FOLLOW_SECONDS: Final = 900.0  # as long as most discoveries take that take long
REDELIVERIES_TOLD: Final = 50

FILTERS: Final = {
    "project": "a project; - or cluster for cluster receivers",
    "receiver": "the name of a receiver",
    "origin": "push, test or redelivery",
    "outcome": "outcomes or good, plain, bad, open, separated by commas",
    "status": "response code: 404, or 4xx",
    "repository": "as Docker Hub sends it: example/repo",
    "tag": "a tag",
    "warehouse": "a Warehouse that was asked to refresh: name or project/name",
    "since": "a time in UTC, or how long ago: 30m, 2h, 7d",
    "until": "likewise",
    "text": "occurs in repository, tag, project, receiver, pusher, reason, address or actor",
}


class Command(ConsoleCommand):
    """List, show and follow deliveries."""

    help = (
        "List deliveries, show all about one, or follow one until it ends. `follow` ends with exit code 0 for Freight "
        "and what is already current, 1 for any other end, 2 when the time is over, 3 for an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        lister = actions.add_parser("list", help="list deliveries, newest first")
        for name, text in FILTERS.items():
            lister.add_argument(f"--{name}", default="", help=text)
        lister.add_argument(
            "--every", action="store_true", help="every delivery, not only each push's newest"
        )
        lister.add_argument("--limit", type=int, default=LIMIT, help=f"most rows ({LIMIT})")
        lister.add_argument("--after", default="", metavar="CURSOR", help="go on where a list ended")
        shower = actions.add_parser("show", help="show everything about one delivery")
        follower = actions.add_parser("follow", help="print what happens to one delivery, until it ends")
        follower.add_argument(
            "--timeout", type=float, default=FOLLOW_SECONDS, help=f"seconds ({FOLLOW_SECONDS:g})"
        )
        for one in (shower, follower):
            one.add_argument("id", metavar="ID", help="an id, or its first 8 or more hexadecimal digits")
        for one in (lister, shower, follower):
            one.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        {"list": self._list, "show": self._show, "follow": self._follow}[options["action"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= LONGEST_PAGE:
            fail(f"--limit takes a number from 1 to {LONGEST_PAGE}; --after goes on")
        try:
            wanted = DeliveryFilter.parse({name: options[name] for name in FILTERS})
            page = _listed(wanted, options["after"], options["limit"], each_push_once=not options["every"])
        except (InvalidFilter, InvalidCursor) as error:
            fail(f"--{error}" if isinstance(error, InvalidFilter) else str(error))
        if options["json"]:
            rows = [serializers.summary(row) for row in page.rows]
            looked_to = serializers.moment(page.looked_to)
            self.print_json({"deliveries": rows, "next": page.next, "looked_to": looked_to})
            return
        self.print(*table(HEADS, [_row(row) for row in page.rows]))
        if page.looked_to:
            self.print(f"looked back to {clock(page.looked_to)}; --after {page.next} looks further")
        elif page.next:
            self.print(f"there are more: --after {page.next}")

    def _show(self, options: dict[str, Any]) -> None:
        delivery = find_delivery(options["id"])
        refreshes = refreshes_of(delivery)
        again = list(delivery_log().narrow().filter(original=delivery).order_by("-id")[:REDELIVERIES_TOLD])
        everything = serializers.everything(delivery, refreshes, again)
        if options["json"]:
            self.print_json(everything)
        else:
            self.print(*as_text(everything))

    def _follow(self, options: dict[str, Any]) -> None:
        found = find_delivery(options["id"])
        delivery, code = follow(
            found.pk, options["timeout"], self.tell_json if options["json"] else self.tell
        )
        if options["json"]:
            self.print_json(
                {**serializers.summary(delivery), "timed_out": code == Exit.TIMED_OUT}, indent=None
            )
        elif code == Exit.TIMED_OUT:
            self.stderr.write(f"it has not ended within {options['timeout']:g} s")
        else:
            self.print(f"{delivery.outcome}: {delivery.reason}".rstrip(": "))
        sys.exit(code)

    def tell(self, line: Line) -> None:
        """Print a line of a story."""
        words = (clock(line.at), line.warehouse, line.event, line.text)
        self.print("  ".join(word for word in words if word))

    def tell_json(self, line: Line) -> None:
        """Print a line of a story as JSON, on one line."""
        value = {
            "at": serializers.moment(line.at),
            "warehouse": line.warehouse,
            "event": line.event,
            "text": line.text,
        }
        self.print_json(value, indent=None)


HEADS: Final = ("ID", "RECEIVED", "RECEIVER", "PUSH", "ORIGIN", "CODE", "OUTCOME", "REASON")


def _listed(wanted: DeliveryFilter, after: str, limit: int, *, each_push_once: bool) -> DeliveryPage:
    """Return one page that is as long as asked for, if there is that much to be found by looking further."""
    rows: list[Delivery] = []
    for _ in range(MOST_PAGES):
        size = limit - len(rows)
        page = delivery_log().page(wanted, after=after, size=size, each_push_once=each_push_once)
        rows += page.rows
        after = page.next
        if len(rows) == limit or not after:
            break
    return DeliveryPage(tuple(rows), page.next, page.looked_to if len(rows) < limit else None)


def _row(row: Delivery) -> tuple[str, ...]:
    repeats = f" x{row.repeats}" if row.repeats > 1 else ""
    push = f"{row.repository}:{row.tag}".strip(":") + repeats
    code = str(row.status) if row.status is not None else "-"
    where = place(row.project, row.receiver)
    return str(row.pk), clock(row.received_at), where, push or "-", row.origin, code, row.outcome, row.reason
