"""The registry keeps every URL that was ever valid, even if it was published only briefly."""

from __future__ import annotations

from typing import Any

from django.db import connection

from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import ReceiverConfig, decode_config
from receivers.models import ReceiverUrl
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry
from receivers.webhook.url_sync import UrlSync
from tests.clusters import until
from tests.contract.caches import digest, running_cache
from tests.worlds import KargoProject


def test_a_url_that_was_removed_before_it_was_stored_is_stored_as_retired(database, demo_cluster):
    urls = UrlRegistry()
    with running_cache(demo_cluster.kubeconfig) as cache:
        url_sync = UrlSync(cache, urls, UnknownUrlCounter())
        url_sync.work()
        path = f"/dockerhub/{digest('briefly published')}"
        urls.add(
            decode_config(
                {
                    "metadata": {"name": "briefly-published", "namespace": "briefly-published"},
                    "spec": {
                        "webhookReceivers": [{"name": "hook", "dockerhub": {"secretRef": {"name": "s"}}}]
                    },
                    "status": {"webhookReceivers": [{"name": "hook", "path": path, "url": path}]},
                }
            )
        )
        url_sync.work()
    row = ReceiverUrl.objects.get(project="briefly-published")
    assert (row.receiver, row.url_suffix) == ("hook", digest_suffix(path))
    assert row.retired_at is not None


def test_a_url_that_is_published_while_urls_are_stored_is_not_stored_as_retired(
    database, demo_cluster, world
):
    urls = UrlRegistry()
    published: list[KargoProject] = []

    def add(_resource: object, _old: object, new: object) -> None:
        if isinstance(new, ReceiverConfig):
            urls.add(new)

    def publish() -> None:
        project = world.project()
        published.append(project)
        until("its URL is known", lambda: urls.retired("dockerhub", project.path().rpartition("/")[2]))

    def publish_another(execute: Any, *arguments: Any) -> Any:
        result = execute(*arguments)
        if len(published) == 1:
            publish()
        return result

    with running_cache(demo_cluster.kubeconfig) as cache:
        cache.add_listener(add)
        publish()
        with connection.execute_wrapper(publish_another):
            UrlSync(cache, urls, UnknownUrlCounter()).work()
    rows = ReceiverUrl.objects.filter(project__in=[project.name for project in published])
    assert [row.retired_at for row in rows] == [None, None]
