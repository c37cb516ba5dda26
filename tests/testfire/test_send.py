"""A test push is only sent to the URL of the receiver, whatever its status names."""

from __future__ import annotations

import pytest

from receivers.cluster.client import KubernetesClient
from receivers.cluster.secret_cache import SecretCache
from receivers.kargo.resources import PublishedUrl, Receiver
from receivers.testfire import send
from tests.cluster.servers import serving

DIGEST = "a1" * 32
PATH = f"/dockerhub/{DIGEST}"


def connect_to_nothing() -> KubernetesClient:
    """Fail: test pushes to Docker Hub receivers need no Secret."""
    raise AssertionError


@pytest.mark.parametrize(
    "url",
    [
        "http://{host}/latest/meta-data",
        "http://{host}/internal?x={path}",
        "http://{host}/internal#{path}",
        "http://{host}{path}/delete",
        "http://{host}{path}?x=1",
        "http://{host}/github/" + DIGEST,
        "http://{host}/dockerhub/" + "b2" * 32,
        "http://user:password@{host}{path}",
        "ftp://{host}{path}",
        "http://{path}",
        "http://{host}:99999{path}",
        "{path}",
    ],
)
def test_no_test_push_is_sent_to_another_url(url):
    with serving(lambda server: server.silent()) as server:
        published = PublishedUrl("hook", PATH, url.format(host=f"127.0.0.1:{server.port}", path=PATH))
        spec = Receiver("hook", "dockerhub", "hooks")
        target = send.TestTarget("shop", "hook", "dockerhub", published, spec)
        request = send.TestRequest("example/app", "1.0.0", "", "jane")
        result = send.send_test(target, request, SecretCache(connect_to_nothing, "kargo-system-resources"))
    assert result.problem.startswith("No test push was sent")
    assert not result.recorded
    assert server.connections == 0
