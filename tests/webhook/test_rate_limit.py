"""The limit on the requests of one sender to one receiver."""

from __future__ import annotations

import logging

import pytest

from receivers.models import Delivery
from receivers.webhook.rate_limit import RateLimiter
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.worlds import image, push_body

HOOK = (("shop", "hook"), "192.0.2.1")
OTHER_RECEIVER = (("shop", "other"), "192.0.2.1")
OTHER_ADDRESS = (("shop", "hook"), "192.0.2.2")


def test_a_burst_is_accepted_and_then_the_rate():
    now = 1_000.0
    limiter = RateLimiter(4, lambda: now)
    assert [limiter.wait(HOOK) for _ in range(41)] == [0.0] * 40 + [0.25]
    now += 1
    assert [limiter.wait(HOOK) for _ in range(5)] == [0.0] * 4 + [0.25]


def test_other_receivers_and_addresses_have_limits_of_their_own():
    limiter = RateLimiter(1, lambda: 0.0)
    while not limiter.wait(HOOK):
        pass
    assert limiter.wait(OTHER_RECEIVER) == limiter.wait(OTHER_ADDRESS) == 0


def test_without_a_rate_nothing_is_limited():
    limiter = RateLimiter(0, lambda: 0.0)
    assert not any(limiter.wait(HOOK) for _ in range(100))


def test_refused_requests_are_logged_in_one_line(caplog):
    limiter = RateLimiter(1, lambda: 0.0)
    for _ in range(13):
        limiter.wait(HOOK)
    with caplog.at_level(logging.WARNING):
        limiter.report()
        limiter.report()
    assert caplog.messages == [
        "refused 3 requests to shop/hook from 192.0.2.1: more than KARGOWEB_RATE_LIMIT"
    ]


@pytest.mark.e2e
def test_a_sender_beyond_the_limit_gets_429_and_no_rows(database, demo_cluster, world):
    with Product(demo_cluster.kubeconfig, KARGOWEB_RATE_LIMIT="1") as product:
        project = routed_project(product, world, image("example/app"))
        body = push_body("example/app")
        for _ in range(30):
            response = product.post(project.path(), body)
            if response.status == 429:
                break
        assert response.status == 429
        assert int(response.headers["Retry-After"]) == 1
        assert b"too many requests" in response.data
        assert Delivery.objects.filter(project=project.name).count() <= 30
