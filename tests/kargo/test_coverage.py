"""Which receivers cover a subscription."""

from __future__ import annotations

from typing import Any

import pytest

from receivers.kargo.coverage import covering_receivers
from receivers.kargo.resources import ReceiverConfig, decode_config
from receivers.kargo.subscriptions import decode_subscription


def config(project: str, *receivers: str, published: tuple[str, ...] | None = None, kind: str = "dockerhub"):
    names = receivers if published is None else published
    return decode_config(
        {
            "metadata": {"namespace": project, "name": project or "cluster"},
            "spec": {
                "webhookReceivers": [{"name": name, kind: {"secretRef": {"name": "s"}}} for name in receivers]
            },
            "status": {
                "webhookReceivers": [{"name": name, "path": "/p", "url": "http://h/p"} for name in names]
            },
        }
    )


IMAGE = {"image": {"repoURL": "example/app"}}
OWN, CLUSTER = config("shop", "hook"), config("", "org")

CASES: list[tuple[dict[str, Any], list[ReceiverConfig], list[tuple[str, str]]]] = [
    (IMAGE, [OWN, CLUSTER], [("shop", "hook"), ("", "org")]),
    (IMAGE, [CLUSTER], [("", "org")]),
    (IMAGE, [], []),
    ({"image": {"repoURL": "docker.io/library/nginx"}}, [OWN], [("shop", "hook")]),
    ({"chart": {"repoURL": "oci://registry-1.docker.io/example/chart"}}, [OWN], [("shop", "hook")]),
    ({"image": {"repoURL": "ghcr.io/example/app"}}, [OWN], []),
    ({"chart": {"repoURL": "https://charts.example.com", "name": "x"}}, [OWN], []),
    ({"git": {"repoURL": "https://github.com/example/app.git"}}, [OWN], []),
    (IMAGE, [config("shop", "hook", published=())], []),
    (IMAGE, [config("shop", "hook", kind="github")], []),
]


@pytest.mark.parametrize(("raw", "configs", "expected"), CASES)
def test_a_subscription_is_covered_by_the_receivers_that_docker_hub_can_call(
    raw: dict[str, Any], configs: list[ReceiverConfig], expected: list[tuple[str, str]]
) -> None:
    assert list(covering_receivers(decode_subscription(raw), configs)) == expected
