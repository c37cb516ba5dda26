"""`manage.py push example/repo:1.2.3`: simulate a push to Docker Hub in the running demo."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.docker_hub import NoResponse, Webhook, call_webhook, registered_webhooks, subscribed_projects
from demo.paths import DemoPaths
from demo.registry import IMAGE_INDEX, Registry
from demo.seeding import CHART
from receivers.cluster.client import connect
from receivers.cluster.errors import ClusterError
from receivers.deliveries.redaction import redact
from receivers.kargo.kinds.dockerhub import compose
from receivers.kargo.push import Push

MAX_TIMES = 1_000  # deliveries of one push; Docker Hub sends five or six


class Command(BaseCommand):
    """Add a tag to the demo's registry, then call the webhooks of its repository."""

    requires_system_checks = ()  # they would load the application
    help = "Push a tag to the demo's registry and call the webhooks of its repository, as Docker Hub does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("image", metavar="REPOSITORY:TAG", help="for example example/repo:1.2.3")
        parser.add_argument(
            "--media-type", default="", help=f"media type of the artifact (default: {IMAGE_INDEX})"
        )
        parser.add_argument("--chart", action="store_true", help=f"push a Helm chart ({CHART})")
        parser.add_argument(
            "--times",
            type=int,
            default=1,
            help="deliveries of this push, as for a multi-platform image (default: 1)",
        )
        parser.add_argument(
            "--pusher", default="octocat", help="name of the user who pushes (default: octocat)"
        )
        parser.add_argument(
            "--lag",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="delay until the registry lists the tag (default: 0)",
        )
        parser.add_argument(
            "--same", action="store_true", help="push the same content again; the digest does not change"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        repository, tag = _split(options["image"])
        if not 1 <= options["times"] <= MAX_TIMES or options["lag"] < 0:
            raise CommandError(f"--times must be from 1 to {MAX_TIMES}, and --lag must not be negative")
        media_type = options["media_type"] or (CHART if options["chart"] else IMAGE_INDEX)
        paths = DemoPaths(settings.KARGOWEB.data_dir.resolve() / "demo")
        pushed = Registry(paths.registry).put(
            repository, tag, media_type=media_type, lag=options["lag"], same_content=options["same"]
        )
        self.stdout.write(f"{repository}:{tag} is in the demo's registry, {pushed.digest[:19]}…")
        webhooks = self._webhooks(paths, Push(repository, tag, media_type))
        body = compose(
            repository, tag, media_type=media_type, pusher=options["pusher"], pushed_at=int(time.time())
        )
        failures = sum(not self._call(webhook, body) for _ in range(options["times"]) for webhook in webhooks)
        if failures:
            raise CommandError(f"{failures} of {options['times'] * len(webhooks)} webhook requests failed")

    def _webhooks(self, paths: DemoPaths, push: Push) -> list[Webhook]:
        """Return the webhooks to call. Raises CommandError if the demo is not running."""
        try:
            with closing(connect(str(paths.kubeconfig))) as cluster:
                projects = subscribed_projects(cluster, push)
                webhooks = registered_webhooks(cluster, projects) if projects else []
        except ClusterError as error:
            raise CommandError(f"The demo is not running (start it with `make run`): {error}") from error
        if not projects:
            self.stdout.write(f"No Warehouse subscribes to {push.repository}, so it has no webhooks.")
        elif not webhooks:
            self.stdout.write("No receiver has a URL yet, so there is no webhook to call.")
        return webhooks

    def _call(self, webhook: Webhook, body: bytes) -> bool:
        """Call a webhook and print the response. Return whether there was one."""
        label = f"{webhook.receiver}  …{webhook.url[-6:]}"
        try:
            response = call_webhook(webhook, body)
        except NoResponse as error:
            self.stderr.write(f"  {label}  {redact(str(error))}")
            return False
        self.stdout.write(
            f"  {label}  {response.status}  {response.body}  delivery {response.delivery or '-'}"
        )
        return True


def _split(image: str) -> tuple[str, str]:
    """Split `repository:tag`. Raises CommandError."""
    repository, colon, tag = image.rpartition(":")
    if not colon or not repository or not tag or "/" in tag:
        raise CommandError(f"{image!r} is not a repository with a tag, such as example/repo:1.2.3")
    return repository, tag
