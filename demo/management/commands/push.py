"""`manage.py push example/repo:1.2.3`: play Docker Hub for the running demo."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.docker_hub import NoAnswer, Webhook, call, registered, subscribers
from demo.places import Places
from demo.registry import IMAGE_INDEX, Registry
from demo.seeding import CHART
from receivers.cluster.client import connect
from receivers.cluster.errors import ClusterError
from receivers.deliveries.redaction import redact
from receivers.kargo.kinds.dockerhub import compose
from receivers.kargo.push import Push

MOST_TIMES = 1_000  # deliveries of one push; Docker Hub sends five or six


class Command(BaseCommand):
    """Put a tag into the demo's registry, then call the webhooks of its repository."""

    help = "Push a tag to the demo's registry and call the webhooks of its repository, as Docker Hub does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("image", metavar="REPOSITORY:TAG", help="for example example/repo:1.2.3")
        parser.add_argument("--media-type", default="", help=f"what was pushed ({IMAGE_INDEX})")
        parser.add_argument("--chart", action="store_true", help=f"a Helm chart ({CHART})")
        parser.add_argument(
            "--times", type=int, default=1, help="deliveries of this one push, as for many platforms"
        )
        parser.add_argument("--pusher", default="octocat", help="the user who pushes")
        parser.add_argument(
            "--lag", type=float, default=0.0, metavar="SECONDS", help="until the registry lists the tag"
        )
        parser.add_argument(
            "--same", action="store_true", help="push the content again that the tag has already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        repository, tag = _split(options["image"])
        if not 1 <= options["times"] <= MOST_TIMES or options["lag"] < 0:
            raise CommandError(f"--times takes 1 to {MOST_TIMES}, --lag takes seconds from 0 up")
        media_type = options["media_type"] or (CHART if options["chart"] else IMAGE_INDEX)
        places = Places(settings.KARGOWEB.data_dir.resolve() / "demo")
        put = Registry(places.registry).put(
            repository, tag, media_type=media_type, lag=options["lag"], same_content=options["same"]
        )
        self.stdout.write(f"{repository}:{tag} is in the demo's registry, {put.digest[:19]}…")
        webhooks = self._webhooks(places, Push(repository, tag, media_type))
        body = compose(
            repository, tag, media_type=media_type, pusher=options["pusher"], pushed_at=int(time.time())
        )
        failures = sum(not self._call(webhook, body) for _ in range(options["times"]) for webhook in webhooks)
        if failures:
            raise CommandError(f"{failures} of {options['times'] * len(webhooks)} calls were not answered")

    def _webhooks(self, places: Places, push: Push) -> list[Webhook]:
        """Return the webhooks to call. Raises CommandError when the demo does not run."""
        try:
            with closing(connect(str(places.kubeconfig))) as cluster:
                projects = subscribers(cluster, push)
                webhooks = registered(cluster, projects) if projects else []
        except ClusterError as error:
            raise CommandError(f"The demo does not run (start it with `make run`): {error}") from error
        if not projects:
            self.stdout.write(
                f"No Warehouse subscribes to {push.repository}, so nobody would have registered a webhook there."
            )
        elif not webhooks:
            self.stdout.write("No receiver has a URL, so there is no webhook to call.")
        return webhooks

    def _call(self, webhook: Webhook, body: bytes) -> bool:
        """Call one webhook and print the answer; say whether there was one."""
        where = f"{webhook.receiver}  …{webhook.url[-6:]}"
        try:
            answer = call(webhook, body)
        except NoAnswer as error:
            self.stderr.write(f"  {where}  {redact(str(error))}")
            return False
        self.stdout.write(f"  {where}  {answer.status}  {answer.body}  delivery {answer.delivery or '-'}")
        return True


def _split(image: str) -> tuple[str, str]:
    """Split `repository:tag`. Raises CommandError."""
    repository, colon, tag = image.rpartition(":")
    if not colon or not repository or not tag or "/" in tag:
        raise CommandError(f"{image!r} is not a repository with a tag, such as example/repo:1.2.3")
    return repository, tag
