"""Every URL that ever was good is remembered, also one that came and went between two looks."""

from __future__ import annotations

from receivers.kargo.resources import decode_config
from receivers.models import ReceiverUrl
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry
from receivers.webhook.url_sync import UrlSync
from tests.contract.caches import digest, running_cache


def test_a_url_that_was_gone_before_it_was_stored_is_stored_as_retired(database, demo_cluster):
    urls = UrlRegistry()
    with running_cache(demo_cluster.kubeconfig) as cache:
        keeper = UrlSync(cache, urls, UnknownUrlCounter())
        keeper.work()
        path = f"/dockerhub/{digest('gone at once')}"
        urls.notice(
            decode_config(
                {
                    "metadata": {"name": "gone-at-once", "namespace": "gone-at-once"},
                    "spec": {
                        "webhookReceivers": [{"name": "hook", "dockerhub": {"secretRef": {"name": "s"}}}]
                    },
                    "status": {"webhookReceivers": [{"name": "hook", "path": path, "url": path}]},
                }
            )
        )
        keeper.work()
    row = ReceiverUrl.objects.get(project="gone-at-once")
    assert (row.receiver, row.url_suffix) == ("hook", path[-6:])
    assert row.retired_at is not None
