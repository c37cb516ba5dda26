"""`manage.py explain demo example/repo:1.2.3`: show which Warehouses a push would refresh, and why."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, Final

from receivers.kargo.matching import Verdict
from receivers.kargo.push import Push, git_push
from receivers.kargo.quoting import quoted
from receivers.kargo.scopes import parse_scope, scope_name
from receivers.management.cluster_reader import cluster_contents
from receivers.management.console import ConsoleCommand, ExitCode, fail, table
from receivers.webhook.match_report import VERDICTS_SHOWN, MatchReport, explain

CLUSTER_SECONDS: Final = 30.0  # default timeout; 10,000 Warehouses take a few seconds
MAX_LIMIT: Final = 100_000  # verdicts


class Command(ConsoleCommand):
    """Read the cluster, match the push and print the verdicts. Refreshes and stores nothing."""

    help = (
        "Show which Warehouses a push of REPOSITORY:TAG to a receiver of PROJECT would refresh, and why. Refreshes "
        "nothing. Exit codes: 0 if a Warehouse would be refreshed, 1 if none would, 2 if the cluster was not read in "
        "time, 3 for an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "project", metavar="PROJECT", help="name of a project, or cluster for a cluster receiver"
        )
        parser.add_argument("push", metavar="REPOSITORY[:TAG]", help="for example example/repo:1.2.3")
        parser.add_argument("--media-type", default="", help="media type of the artifact (default: unknown)")
        parser.add_argument(
            "--ref",
            default="",
            help="a Git reference such as refs/heads/main; REPOSITORY is then the URL of a Git repository",
        )
        parser.add_argument(
            "--file", action="append", default=[], help="a changed file of the Git push; can be repeated"
        )
        parser.add_argument("--all", action="store_true", help="include subscriptions to other repositories")
        parser.add_argument(
            "--limit",
            type=int,
            default=VERDICTS_SHOWN,
            help=f"maximum number of verdicts (default {VERDICTS_SHOWN})",
        )
        parser.add_argument(
            "--timeout",
            type=float,
            default=CLUSTER_SECONDS,
            help=f"seconds to read the cluster (default {CLUSTER_SECONDS:g})",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["limit"] <= MAX_LIMIT:
            fail(f"--limit must be a number from 1 to {MAX_LIMIT}")
        project = parse_scope(options["project"])
        push = _push(options["push"], options["media_type"])
        if options["ref"]:
            push = git_push(options["push"], options["ref"], tuple(options["file"]))
        with cluster_contents(options["timeout"]) as cache:
            if project and project not in {existing.name for existing in cache.projects()}:
                fail(f"Project {quoted(project)} doesn't exist in this cluster.")
            report = explain(cache, push, project, everything=options["all"], most=options["limit"])
        if options["json"]:
            self.print_json(_as_json(push, project, report))
        else:
            self.print(*_as_text(report, with_project=not project))
        sys.exit(ExitCode.SUCCESS if report.to_refresh else ExitCode.NEGATIVE)


def _push(text: str, media_type: str) -> Push:
    repository, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:  # the colon precedes a registry's port, not a tag
        repository, tag = text, ""
    return Push(repository, tag, media_type)


def _as_json(push: Push, project: str, report: MatchReport) -> dict[str, Any]:
    return {
        "project": scope_name(project),
        "repository": push.repository,
        "tag": push.tag,
        "media_type": push.media_type,
        "to_refresh": [{"project": key[0], "warehouse": key[1]} for key in report.to_refresh],
        "why_no_match": report.why_no_match_anywhere,
        "verdicts": [verdict.as_dict() for verdict in report.verdicts],
        "left_out": report.left_out,
    }


def _as_text(report: MatchReport, *, with_project: bool) -> list[str]:
    headers = ("WAREHOUSE", "SUBSCRIPTION", "VERDICT", "RULE", "REASON")
    lines = (
        table(headers, [_row(verdict, with_project) for verdict in report.verdicts])
        if report.verdicts
        else []
    )
    if report.left_out:
        lines.append(f"... and {report.left_out} more; raise --limit to see them")
    return [*lines, _summary(report)]


def _summary(report: MatchReport) -> str:
    count = len(report.to_refresh)
    if not count:
        return f"Refreshes nothing: {report.why_no_match_anywhere}"
    return f"Refreshes {count} Warehouse{'' if count == 1 else 's'}"


def _row(verdict: Verdict, with_project: bool) -> tuple[str, ...]:
    warehouse = f"{verdict.project}/{verdict.warehouse}" if with_project else verdict.warehouse
    parts = (str(verdict.position), verdict.subscription, verdict.kind, verdict.repo_url)
    subscription = " ".join(part for part in parts if part)
    return warehouse, subscription, verdict.result.value, verdict.rule, verdict.reason
