"""`manage.py push example/repo:1.2.3`: simulate a push to Docker Hub in the running demo.

`manage.py push https://github.com/acme/platform-config --file clusters/eu.yaml` simulates one of commits, and
`manage.py push quay.io/acme/agent:1.2.0` one to another registry.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from demo.commits import push_commit
from demo.docker_hub import (
    KIND,
    NoResponse,
    Webhook,
    call_webhook,
    registered_webhooks,
    subscribed_projects,
)
from demo.paths import DemoPaths
from demo.registry import IMAGE_INDEX, Registry
from demo.seeding import CHART
from receivers.cluster.client import connect
from receivers.cluster.errors import ClusterError
from receivers.cluster.receiver_secrets import ReceiverError
from receivers.deliveries.redaction import redact
from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push, git_push

MAX_TIMES = 1_000  # deliveries of one push; Docker Hub sends five or six


class Command(BaseCommand):
    """Add a tag to the demo's registry, then call the webhooks of its repository."""

    requires_system_checks = ()  # they would load the application
    help = (
        "Push a tag, or with the URL of a Git repository a commit, to the demo's registry, and call the webhooks of "
        "the repository, as its provider does."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "image",
            metavar="REPOSITORY:TAG or URL",
            help="for example example/repo:1.2.3, or https://github.com/acme/platform-config",
        )
        parser.add_argument("--kind", default="", help="the provider (default: that of the host name)")
        parser.add_argument(
            "--ref",
            default="refs/heads/main",
            help="the Git reference that is pushed (default: refs/heads/main)",
        )
        parser.add_argument(
            "--file", action="append", default=[], help="a changed file of the commit; can be repeated"
        )
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
        if not 1 <= options["times"] <= MAX_TIMES or options["lag"] < 0:
            raise CommandError(f"--times must be from 1 to {MAX_TIMES}, and --lag must not be negative")
        if options["image"].startswith(("https://", "http://")):
            self._push_commit(options)
            return
        repository, tag = _split(options["image"])
        media_type = options["media_type"] or (CHART if options["chart"] else IMAGE_INDEX)
        paths = DemoPaths(settings.KARGOWEB.data_dir.resolve() / "demo")
        pushed = Registry(paths.registry).put(
            repository, tag, media_type=media_type, lag=options["lag"], same_content=options["same"]
        )
        self.stdout.write(f"{repository}:{tag} is in the demo's registry, {pushed.digest[:19]}…")
        self._announce(paths, Push(repository, tag, media_type, options["pusher"], timezone.now()), options)

    def _push_commit(self, options: dict[str, Any]) -> None:
        """Push a commit and call the webhooks of its repository."""
        url, paths = options["image"], DemoPaths(settings.KARGOWEB.data_dir.resolve() / "demo")
        registry = Registry(paths.registry)
        commit = push_commit(registry, url, options["ref"], options["file"], lag=options["lag"])
        self.stdout.write(f"commit {commit[:12]} is in the demo's repository {url}")
        push = git_push(url, options["ref"], tuple(options["file"]), options["pusher"], commit)
        self._announce(paths, push, options)

    def _announce(self, paths: DemoPaths, push: Push, options: dict[str, Any]) -> None:
        """Call the webhooks of a repository. Raises CommandError."""
        kind = options["kind"] or _kind_of(push)
        if kind not in KINDS:
            raise CommandError(f"--kind must be one of {', '.join(sorted(KINDS))}")
        webhooks = self._webhooks(paths, push, kind)
        failures = sum(
            not self._call(webhook, push, kind) for _ in range(options["times"]) for webhook in webhooks
        )
        if failures:
            raise CommandError(f"{failures} of {options['times'] * len(webhooks)} webhook requests failed")

    def _webhooks(self, paths: DemoPaths, push: Push, kind: str) -> list[Webhook]:
        """Return the webhooks to call. Raises CommandError if the demo is not running."""
        try:
            with closing(connect(str(paths.kubeconfig))) as cluster:
                projects = subscribed_projects(cluster, push)
                system = settings.KARGOWEB.system_namespace
                webhooks = registered_webhooks(cluster, projects, kind, system) if projects else []
        except ReceiverError as error:
            raise CommandError(f"A webhook can't be signed: {error}") from error
        except ClusterError as error:
            raise CommandError(f"The demo is not running (start it with `make run`): {error}") from error
        if not projects:
            self.stdout.write(f"No Warehouse subscribes to {push.repository}, so it has no webhooks.")
        elif not webhooks:
            self.stdout.write(
                f"No {KINDS[kind].title} receiver has a URL yet, so there is no webhook to call."
            )
        return webhooks

    def _call(self, webhook: Webhook, push: Push, kind: str) -> bool:
        """Call a webhook and print the response. Return whether there was one."""
        label = f"{webhook.receiver}  …{webhook.url[-6:]}"
        try:
            composed = KINDS[kind].composed(push, webhook.secret)
            headers = {name.title(): value for name, value in composed.headers.items()}
            response = call_webhook(webhook, composed.body, headers)
        except NoResponse as error:
            self.stderr.write(f"  {label}  {redact(str(error))}")
            return False
        self.stdout.write(
            f"  {label}  {response.status}  {response.body}  delivery {response.delivery or '-'}"
        )
        return True


# Parts of host names, and the kind of the receivers that providers there call.
_HOSTS: Final = (
    ("github.", "github"), ("gitlab.", "gitlab"), ("bitbucket.", "bitbucket"), ("gitea.", "gitea"),
    ("azure", "azure"), ("quay.", "quay"), ("harbor.", "harbor"), ("jfrog.", "artifactory"),
)  # fmt: skip


def _kind_of(push: Push) -> str:
    """Return the kind of receivers that the provider of a repository calls."""
    host = push.repository.rpartition("://")[2].partition("/")[0].lower()
    return next((kind for part, kind in _HOSTS if part in host), "github" if push.is_git else KIND)


def _split(image: str) -> tuple[str, str]:
    """Split `repository:tag`. Raises CommandError."""
    repository, colon, tag = image.rpartition(":")
    if not colon or not repository or not tag or "/" in tag:
        raise CommandError(f"{image!r} is not a repository with a tag, such as example/repo:1.2.3")
    return repository, tag
