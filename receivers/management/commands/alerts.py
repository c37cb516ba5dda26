"""`manage.py alerts list|test`: the channels, and a test alert."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from receivers.cluster.client import connect
from receivers.management.console import ConsoleCommand, ExitCode, base_url, fail, table, utc_time
from receivers.models import AlertChannel, AlertMessage
from receivers.ops.alerts.channels import destination_shown
from receivers.ops.alerts.kubernetes_secrets import SecretLookup
from receivers.ops.alerts.outbox import Outbox

ALL: str = "all"


class Command(ConsoleCommand):
    help = (
        "List the alert channels, or send a test alert to one. Exit codes: 0 if it arrived, 1 if it did not, "
        "3 for an error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="do", required=True)
        listing = commands.add_parser("list", help="list the channels with their last result")
        listing.add_argument("--json", action="store_true", help="print a JSON list")
        test = commands.add_parser("test", help="send a test alert")
        test.add_argument("channel", help="PROJECT/NAME, all/NAME for a channel of all projects, or the id")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["do"] == "test":
            self._test(options["channel"])
        else:
            self._list(as_json=options["json"])

    def _list(self, *, as_json: bool) -> None:
        rows = [_facts(channel) for channel in AlertChannel.objects.order_by("project", "name")]
        if as_json:
            self.print_json(rows)
        elif rows:
            columns = ("channel", "kind", "severity", "enabled", "destination", "last_result")
            self.print(*table(columns, [[str(row[name]) for name in columns] for row in rows]))
        else:
            self.print("No alert channels.")

    def _test(self, name: str) -> None:
        configuration = settings.KARGOWEB
        lookup = SecretLookup(
            lambda: connect(context=configuration.kube_context), configuration.system_namespace
        )
        outbox = Outbox(base_url(), configuration.alerts.group, configuration.alerts.rate, lookup)
        message = outbox.send_test(_find(name))
        self.print(f"{'Sent' if message.sent_at else 'Failed'}: {message.answer}")
        if not message.sent_at:
            sys.exit(ExitCode.NEGATIVE)


def _find(name: str) -> AlertChannel:
    channels = {_name(channel): channel for channel in AlertChannel.objects.all()}
    channels |= {str(channel.pk): channel for channel in channels.values()}
    if name not in channels:
        fail(f"No channel {name!r}; `manage.py alerts list` lists all channels")
    return channels[name]


def _name(channel: AlertChannel) -> str:
    return f"{channel.project or ALL}/{channel.name}"


def _facts(channel: AlertChannel) -> dict[str, Any]:
    last = AlertMessage.objects.filter(channel=channel).order_by("-created_at").first()
    return {
        "id": str(channel.pk),
        "channel": _name(channel),
        "kind": channel.kind,
        "severity": channel.severity,
        "enabled": channel.enabled,
        "destination": destination_shown(channel),
        "last_result": f"{utc_time(last.created_at)} {last.answer}" if last else "",
    }
