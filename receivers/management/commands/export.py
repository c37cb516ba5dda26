"""`manage.py export`: write the delivery log as JSON Lines, for archives and other tools."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from receivers.deliveries.filters import DeliveryFilterForm
from receivers.deliveries.form_fields import form_errors
from receivers.deliveries.querysets import MAX_PAGE_SIZE, delivery_log
from receivers.deliveries.serializers import DeliverySerializer
from receivers.management.commands.deliveries import FILTERS
from receivers.management.console import ConsoleCommand, fail


class Command(ConsoleCommand):
    """Print every delivery that the filters select, newest first, one JSON object on each line."""

    help = (
        "Print every delivery that the filters select as JSON Lines, newest first. There is no limit on their number; "
        "bodies and headers are left out (`deliveries show ID --json` has them)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, text in FILTERS.items():
            parser.add_argument(f"--{name}", default="", help=text)

    def handle(self, *args: Any, **options: Any) -> None:
        form = DeliveryFilterForm(options)
        if form.wanted is None:
            fail(f"--{form_errors(form)[0]}")
        after = ""
        while True:
            page = delivery_log().page(form.wanted, after=after, size=MAX_PAGE_SIZE, each_push_once=False)
            for row in DeliverySerializer(page.rows, many=True).data:
                self.print_json(row, indent=None)
            after = page.next
            if not after:
                return
