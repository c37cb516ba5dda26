"""The registry keeps every URL that was ever valid, even if it was published only briefly."""

from __future__ import annotations

from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import decode_config
from receivers.models import ReceiverUrl
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry
from receivers.webhook.url_sync import UrlSync
from tests.contract.caches import digest, running_cache


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
