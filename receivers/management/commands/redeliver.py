"""`manage.py redeliver ID` or `--failed-since 2h`: have deliveries sent again by a serving process."""

from __future__ import annotations

import getpass
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from receivers.deliveries import serializers
from receivers.deliveries.filters import DeliveryFilter, InvalidFilter
from receivers.deliveries.redelivery import RATE, WORTHWHILE, RedeliveryBatch, redeliver, redeliver_all, refusal
from receivers.management.console import ConsoleCommand, Exit, clock, fail, find_delivery, place, table
from receivers.management.delivery_progress import follow, was_taken_up
from receivers.models import Delivery

PICK_UP_SECONDS: Final = 10.0  # until a serving process must have begun; it looks every second
FOLLOW_SECONDS: Final = 900.0  # for all of them together
SHOWN: Final = 50  # deliveries that are listed before asking


class Command(ConsoleCommand):
    """Have one delivery, or all that failed, sent again."""

    help = (
        "Send a delivery again, or all failed ones since a time, to the Warehouses that there are today. Exit code 0: "
        "a serving process has begun (with --follow: all became Freight or were already current), 1: not all of them "
        "could be sent, or ended well, 2: not within the time, 3: an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "id", metavar="ID", nargs="?", default="", help="an id, or 8 or more digits of it"
        )
        parser.add_argument(
            "--failed-since", default="", metavar="TIME", help="in UTC, or how long ago: 30m, 2h, 7d"
        )
        parser.add_argument(
            "--project", default="", help="only this project; - or cluster for cluster receivers"
        )
        parser.add_argument("--rate", type=float, default=RATE, help=f"most to send in a second ({RATE:g})")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be sent")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--follow", action="store_true", help="wait until all have ended")
        parser.add_argument(
            "--timeout", type=float, default=FOLLOW_SECONDS, help=f"seconds ({FOLLOW_SECONDS:g})"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["id"]) == bool(options["failed_since"]):
            fail("either an ID or --failed-since is asked for")
        batch = self._one(options) if options["id"] else self._failed(options)
        if not options["json"]:
            self.print(*_as_text(batch))
        code = Exit.OTHERWISE if batch.refused or batch.more else Exit.GOOD
        ended: list[Delivery] = []
        if batch.deliveries:
            code = max(code, self._pick_up(batch.deliveries[0]))
            if options["follow"] and code != Exit.TIMED_OUT:
                ended, code = self._follow_all(batch.deliveries, options, code)
        if options["json"]:
            self.print_json(_as_json(batch, ended))
        sys.exit(code)

    def _one(self, options: dict[str, Any]) -> RedeliveryBatch:
        original = find_delivery(options["id"])
        problem = refusal(original, len(original.body))
        if problem:
            fail(f"delivery {original.pk} cannot be sent again: {problem}")
        deliveries = () if options["dry_run"] else (redeliver(original, _actor()),)
        return RedeliveryBatch((original,), (), more=False, deliveries=deliveries)

    def _failed(self, options: dict[str, Any]) -> RedeliveryBatch:
        try:
            named = DeliveryFilter.parse({"since": options["failed_since"], "project": options["project"]})
            wanted = DeliveryFilter(since=named.since, project=named.project, outcomes=WORTHWHILE)
            plan = redeliver_all(wanted, _actor(), rate=options["rate"], dry_run=True)
            if options["dry_run"] or not plan.originals:
                return plan
            if not options["yes"]:
                self._ask(plan, options)
            return redeliver_all(wanted, _actor(), rate=options["rate"])
        except InvalidFilter as error:
            fail(f"--{str(error).replace('since', 'failed-since', 1)}")
        except ValueError as error:
            fail(str(error))

    def _ask(self, plan: RedeliveryBatch, options: dict[str, Any]) -> None:
        """Ask whether to go on. Fails where nobody can be asked, ends the command where the answer is no."""
        if options["json"] or not sys.stdin.isatty():
            fail(f"{len(plan.originals)} deliveries would be sent again; --yes does so, --dry-run lists them")
        self.print(*_as_text(plan))
        question = f"Send {len(plan.originals)} deliveries again, {options['rate']:g} a second? [y/N] "
        if input(question).strip().lower() not in {"y", "yes"}:
            self.stderr.write("nothing was sent")
            sys.exit(Exit.OTHERWISE)

    def _pick_up(self, first: Delivery) -> Exit:
        """Wait until a serving process has begun; say so when none does."""
        if was_taken_up(first, PICK_UP_SECONDS):
            return Exit.GOOD
        self.stderr.write(
            f"No serving process has taken it up within {PICK_UP_SECONDS:g} s. It stays on record and is sent when "
            "one runs (manage.py serve)."
        )
        return Exit.TIMED_OUT

    def _follow_all(
        self, deliveries: Sequence[Delivery], options: dict[str, Any], code: Exit
    ) -> tuple[list[Delivery], Exit]:
        deadline = time.monotonic() + options["timeout"]
        ended = []
        for one in deliveries:
            delivery, how = follow(one.pk, max(0.0, deadline - time.monotonic()), lambda _: None)
            ended.append(delivery)
            code = max(code, how)
            if not options["json"]:
                end = ": ".join(filter(None, [delivery.outcome, delivery.reason]))
                self.print(f"{delivery.pk}  {delivery.repository}:{delivery.tag}  {end}")
        return ended, code


def _actor() -> str:
    """Return who is at the command line, as far as the machine knows."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user without a name
        return "command line"


def _as_json(batch: RedeliveryBatch, ended: Sequence[Delivery]) -> dict[str, Any]:
    sent = {one.original_id: one for one in batch.deliveries}
    outcomes = {one.pk: one for one in ended}
    rows = [_sent(original, sent.get(original.pk), outcomes) for original in batch.originals]
    refused = [{"original": serializers.summary(one), "problem": problem} for one, problem in batch.refused]
    return {"deliveries": rows, "refused": refused, "more": batch.more}


def _sent(original: Delivery, new: Delivery | None, ended: Mapping[UUID, Delivery]) -> dict[str, Any]:
    done = ended.get(new.pk) if new else None
    return {
        "original": serializers.summary(original),
        "delivery": str(new.pk) if new else None,
        "outcome": done.outcome if done else None,
        "reason": done.reason if done else None,
    }


def _as_text(batch: RedeliveryBatch) -> list[str]:
    sent = {one.original_id: str(one.pk) for one in batch.deliveries}
    rows = [_row(one, sent.get(one.pk, "-")) for one in batch.originals[:SHOWN]]
    rows += [_row(one, f"no: {problem}") for one, problem in batch.refused[:SHOWN]]
    lines = table(("ORIGINAL", "RECEIVED", "RECEIVER", "PUSH", "OUTCOME", "SENT AS"), rows) if rows else []
    hidden = len(batch.originals) + len(batch.refused) - len(rows)
    lines += [f"... and {hidden} more"] if hidden else []
    done = (
        f"{len(batch.deliveries)} sent again"
        if batch.deliveries
        else f"{len(batch.originals)} can be sent again"
    )
    more = "; there are others, for the next call" if batch.more else ""
    return [*lines, f"{done}, {len(batch.refused)} cannot be{more}"]


def _row(one: Delivery, sent: str) -> tuple[str, ...]:
    push = f"{one.repository}:{one.tag}".strip(":") or "-"
    return str(one.pk), clock(one.received_at), place(one.project, one.receiver), push, one.outcome, sent
