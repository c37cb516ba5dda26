"""`manage.py explain demo example/repo:1.2.3`: what every Warehouse would say about a push, and why."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings

from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.kargo.matching import Verdict
from receivers.kargo.push import Push
from receivers.kargo.scopes import parse_scope, scope_name
from receivers.management.console import ConsoleCommand, Exit, fail, table
from receivers.webhook.explain import VERDICTS_SHOWN, MatchReport, explain

PATIENCE: Final = 30.0  # seconds until the cluster must have been read; 10,000 Warehouses take a few
HIGHEST_LIMIT: Final = 100_000  # verdicts


class Command(ConsoleCommand):
    """Read the cluster, judge the push, print what came of it. Refreshes nothing and stores nothing."""

    help = (
        "Say what a push of REPOSITORY:TAG to a receiver of PROJECT would refresh, and why. Refreshes nothing. "
        "Exit code 0: it would refresh a Warehouse, 1: none, 2: the cluster did not answer in time, 3: an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "project", metavar="PROJECT", help="a project, or cluster for a cluster receiver"
        )
        parser.add_argument("push", metavar="REPOSITORY[:TAG]", help="for example example/repo:1.2.3")
        parser.add_argument("--media-type", default="", help="what was pushed; unknown if not given")
        parser.add_argument("--all", action="store_true", help="subscriptions of other repositories, too")
        parser.add_argument(
            "--limit", type=int, default=VERDICTS_SHOWN, help=f"most verdicts to tell ({VERDICTS_SHOWN})"
        )
        parser.add_argument(
            "--timeout", type=float, default=PATIENCE, help=f"seconds for the cluster ({PATIENCE:g})"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["limit"] <= HIGHEST_LIMIT:
            fail(f"--limit takes a number from 1 to {HIGHEST_LIMIT}")
        project = parse_scope(options["project"])
        push = _push(options["push"], options["media_type"])
        with _running_cache(options["timeout"]) as cache:
            if project and project not in {one.name for one in cache.projects()}:
                fail(f"there is no project {project} in the cluster")
            told = explain(cache, push, project, everything=options["all"], most=options["limit"])
        if options["json"]:
            self.print_json(_as_json(push, project, told))
        else:
            self.print(*_as_text(told, with_project=not project))
        sys.exit(Exit.GOOD if told.to_refresh else Exit.OTHERWISE)


def _push(text: str, media_type: str) -> Push:
    repository, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:  # a registry's port, and no tag
        repository, tag = text, ""
    return Push(repository, tag, media_type)


@contextmanager
def _running_cache(seconds: float) -> Iterator[ClusterCache]:
    """Give the cluster, read completely. Fails if that takes longer than `seconds`."""
    configuration = settings.KARGOWEB
    cache = ClusterCache(lambda: connect(context=configuration.kube_context), configuration.namespaces)
    # What goes wrong is told in one line, if it matters at all; the cache's own log is for those who run it for long.
    logging.disable(logging.WARNING)
    cache.start()
    try:
        if not cache.wait_ready(seconds):
            errors = [one.error for one in cache.freshness() if one.error]
            fail(
                f"the cluster was not read within {seconds:g} s: {(errors or ['no answer'])[0]}",
                Exit.TIMED_OUT,
            )
        yield cache
    finally:
        cache.stop()
        logging.disable(logging.NOTSET)


def _as_json(push: Push, project: str, told: MatchReport) -> dict[str, Any]:
    return {
        "project": scope_name(project),
        "repository": push.repository,
        "tag": push.tag,
        "media_type": push.media_type,
        "to_refresh": [{"project": key[0], "warehouse": key[1]} for key in told.to_refresh],
        "why_no_match": told.why_no_match,
        "verdicts": [verdict.as_dict() for verdict in told.verdicts],
        "left_out": told.left_out,
    }


def _as_text(told: MatchReport, *, with_project: bool) -> list[str]:
    heads = ("WAREHOUSE", "SUBSCRIPTION", "VERDICT", "RULE", "REASON")
    lines = table(heads, [_row(verdict, with_project) for verdict in told.verdicts]) if told.verdicts else []
    if told.left_out:
        lines.append(f"... and {told.left_out} more; --limit takes more")
    count = len(told.to_refresh)
    return [*lines, f"refreshes {count} Warehouse(s)" if count else f"refreshes nothing: {told.why_no_match}"]


def _row(verdict: Verdict, with_project: bool) -> tuple[str, ...]:
    warehouse = f"{verdict.project}/{verdict.warehouse}" if with_project else verdict.warehouse
    parts = (str(verdict.position), verdict.subscription, verdict.kind, verdict.repo_url)
    subscription = " ".join(part for part in parts if part)
    return warehouse, subscription, verdict.result.value, verdict.rule, verdict.reason
