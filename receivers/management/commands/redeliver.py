"""`manage.py redeliver ID` or `--failed-since 2h`: have a serving process redeliver deliveries."""

from __future__ import annotations

import getpass
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from receivers.deliveries.filters import DeliveryFilterForm
from receivers.deliveries.form_fields import form_errors
from receivers.deliveries.outcomes import headline_of
from receivers.deliveries.redelivery import (
    RATE,
    WORTHWHILE,
    RedeliveryBatch,
    redeliver,
    redeliver_all,
    refusal,
)
from receivers.deliveries.serializers import DeliverySerializer
from receivers.management.console import (
    ConsoleCommand,
    ExitCode,
    fail,
    find_delivery,
    receiver_name,
    table,
    utc_time,
)
from receivers.management.delivery_progress import FOLLOW_SECONDS, follow, wait_until_started
from receivers.models import Delivery

START_SECONDS: Final = 10.0  # for a serving process to start; it polls every second
MAX_ROWS_SHOWN: Final = 50  # deliveries listed in the output and before the confirmation


class Command(ConsoleCommand):
    """Redeliver one delivery, or all that failed."""

    help = (
        "Redeliver one delivery, or all that failed since a time, to the current Warehouses. Exit codes: 0 if a "
        "serving process has started (with --follow: if Freight was created or is already current for all), 1 if "
        "some could not be redelivered or ended otherwise, 2 after the timeout, 3 for an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "id", metavar="ID", nargs="?", default="", help="id, or at least its first 8 hexadecimal digits"
        )
        parser.add_argument(
            "--failed-since",
            default="",
            metavar="TIME",
            help="a time in UTC, or an age such as 30m, 2h or 7d",
        )
        parser.add_argument(
            "--project", default="", help="only this project, or cluster for cluster receivers"
        )
        parser.add_argument(
            "--rate", type=float, default=RATE, help=f"maximum redeliveries per second (default {RATE:g})"
        )
        parser.add_argument("--dry-run", action="store_true", help="list what would be redelivered, and stop")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        parser.add_argument("--follow", action="store_true", help="wait until all redeliveries have ended")
        parser.add_argument(
            "--timeout", type=float, default=FOLLOW_SECONDS, help=f"seconds (default {FOLLOW_SECONDS:g})"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["id"]) == bool(options["failed_since"]):
            fail("Give either an ID or --failed-since")
        batch = self._redeliver_one(options) if options["id"] else self._redeliver_failed(options)
        if not options["json"]:
            self.print(*_as_text(batch))
        code = ExitCode.NEGATIVE if batch.refused or batch.more else ExitCode.SUCCESS
        ended: list[Delivery] = []
        if batch.deliveries:
            code = max(code, self._wait_until_started(batch.deliveries[0]))
            if options["follow"] and code != ExitCode.TIMEOUT:
                ended, code = self._follow_all(batch.deliveries, options, code)
        if options["json"]:
            self.print_json(_as_json(batch, ended))
        sys.exit(code)

    def _redeliver_one(self, options: dict[str, Any]) -> RedeliveryBatch:
        original = find_delivery(options["id"])
        problem = refusal(original)
        if problem:
            fail(f"Can't redeliver {original.pk}: {problem}")
        deliveries = () if options["dry_run"] else (redeliver(original, _actor()),)
        return RedeliveryBatch((original,), (), more=False, deliveries=deliveries)

    def _redeliver_failed(self, options: dict[str, Any]) -> RedeliveryBatch:
        form = DeliveryFilterForm({"since": options["failed_since"], "project": options["project"]})
        if form.wanted is None:
            fail(f"--{form_errors(form)[0].replace('since', 'failed-since', 1)}")
        wanted = replace(form.wanted, outcomes=WORTHWHILE)
        try:
            plan = redeliver_all(wanted, _actor(), rate=options["rate"], dry_run=True)
            if options["dry_run"] or not plan.originals:
                return plan
            if not options["yes"]:
                self._confirm(plan, options)
            return redeliver_all(wanted, _actor(), rate=options["rate"])
        except ValueError as error:
            fail(str(error))

    def _confirm(self, plan: RedeliveryBatch, options: dict[str, Any]) -> None:
        """Ask for confirmation. Exit if the answer is no, or with an error if there is no terminal to ask on."""
        if options["json"] or not sys.stdin.isatty():
            fail(
                f"{len(plan.originals)} deliveries would be redelivered. "
                "Confirm with --yes, or list them with --dry-run."
            )
        self.print(*_as_text(plan))
        question = f"Redeliver {len(plan.originals)} deliveries at {options['rate']:g} per second? [y/N] "
        if input(question).strip().lower() not in {"y", "yes"}:
            self.stderr.write("Nothing was redelivered.")
            sys.exit(ExitCode.NEGATIVE)

    def _wait_until_started(self, first: Delivery) -> ExitCode:
        """Wait until a serving process has started the first redelivery; warn if none does."""
        if wait_until_started(first, START_SECONDS):
            return ExitCode.SUCCESS
        self.stderr.write(
            f"No serving process started the redelivery within {START_SECONDS:g} s. It stays pending and starts when "
            "one runs (manage.py serve)."
        )
        return ExitCode.TIMEOUT

    def _follow_all(
        self, deliveries: Sequence[Delivery], options: dict[str, Any], code: ExitCode
    ) -> tuple[list[Delivery], ExitCode]:
        deadline = time.monotonic() + options["timeout"]
        ended = []
        for redelivery in deliveries:
            remaining = max(0.0, deadline - time.monotonic())
            delivery, follow_code = follow(redelivery.pk, remaining, lambda _: None)
            ended.append(delivery)
            code = max(code, follow_code)
            if not options["json"]:
                result = ": ".join(filter(None, [headline_of(delivery), delivery.reason]))
                self.print(f"{delivery.pk}  {delivery.repository}:{delivery.tag}  {result}")
        return ended, code


def _actor() -> str:
    """Return the user of the command line, for the log."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # the user of a container may have no name
        return "command line"


def _as_json(batch: RedeliveryBatch, ended: Sequence[Delivery]) -> dict[str, Any]:
    redeliveries = {delivery.original_id: delivery for delivery in batch.deliveries}
    results = {delivery.pk: delivery for delivery in ended}
    rows = [
        _redelivery_json(original, redeliveries.get(original.pk), results) for original in batch.originals
    ]
    refused = [
        {"original": DeliverySerializer(original).data, "problem": problem}
        for original, problem in batch.refused
    ]
    return {"deliveries": rows, "refused": refused, "more": batch.more}


def _redelivery_json(
    original: Delivery, redelivery: Delivery | None, results: Mapping[UUID, Delivery]
) -> dict[str, Any]:
    result = results.get(redelivery.pk) if redelivery else None
    return {
        "original": DeliverySerializer(original).data,
        "delivery": str(redelivery.pk) if redelivery else None,
        "outcome": result.outcome if result else None,
        "reason": result.reason if result else None,
    }


def _as_text(batch: RedeliveryBatch) -> list[str]:
    redelivered_as = {delivery.original_id: str(delivery.pk) for delivery in batch.deliveries}
    rows = [
        _row(original, redelivered_as.get(original.pk, "-")) for original in batch.originals[:MAX_ROWS_SHOWN]
    ]
    rows += [_row(original, f"no: {problem}") for original, problem in batch.refused[:MAX_ROWS_SHOWN]]
    headers = ("ORIGINAL", "RECEIVED", "RECEIVER", "PUSH", "OUTCOME", "REDELIVERED AS")
    lines = table(headers, rows) if rows else []
    hidden = len(batch.originals) + len(batch.refused) - len(rows)
    lines += [f"... and {hidden} more"] if hidden else []
    done = f"{len(batch.deliveries)} redelivered"
    planned = f"{len(batch.originals)} can be redelivered"
    remainder = "; run the command again for the rest" if batch.more else ""
    return [*lines, f"{done if batch.deliveries else planned}, {len(batch.refused)} cannot be{remainder}"]


def _row(original: Delivery, redelivered_as: str) -> tuple[str, ...]:
    return (
        str(original.pk),
        utc_time(original.received_at),
        receiver_name(original.project, original.receiver),
        f"{original.repository}:{original.tag}".strip(":") or "-",
        headline_of(original),
        redelivered_as,
    )
