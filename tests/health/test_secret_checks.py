"""Published digests are compared with the Secrets that kargoweb may read."""

from __future__ import annotations

import base64

import pytest

from receivers.health.secret_checks import SecretChecks, SecretState
from receivers.kargo.resources import SECRETS
from tests.clusters import PATIENCE, until
from tests.contract.caches import running_cache
from tests.worlds import KargoProject, World


@pytest.fixture
def cache(demo_cluster):
    with running_cache(demo_cluster.kubeconfig_for("manager")) as cache:
        yield cache


@pytest.fixture
def place(world: World) -> KargoProject:
    """A project with one published receiver, whose Secret is missing."""
    place = world.bare_project()
    place.publish("hook")
    return place


def write_secret(place: KargoProject, value: str, key: str = "secret") -> None:
    """Create the Secret that receivers refer to."""
    data = {key: base64.b64encode(value.encode()).decode()}
    place.world.create(SECRETS, {"metadata": {"name": "hooks"}, "data": data}, place.name)


def change_secret(place: KargoProject, value: str) -> None:
    data = {"secret": base64.b64encode(value.encode()).decode()}
    place.world.cluster.patch(SECRETS, "hooks", place.name, {"data": data})


def published_digest(cache, place: KargoProject) -> str:
    """Wait until the cache has the digest of the receiver; return it."""
    digest = place.path().rpartition("/")[2]
    until("the receiver is known", lambda: cache.route(digest))
    return digest


class Checks(SecretChecks):
    """Secret checks with a clock that only the test advances."""

    def __init__(self, cache) -> None:
        self.now = 1.0
        super().__init__(cache, "kargo-system-resources", clock=lambda: self.now)


def state(cache, place: KargoProject) -> SecretState:
    checks = Checks(cache)
    digest = published_digest(cache, place)
    checks.check(1_000)
    return checks.state(place.name, "hook", digest)


def test_the_secret_of_the_url_matches(cache, place):
    write_secret(place, "s3cret")
    assert state(cache, place) == "matches"


def test_a_secret_with_an_additional_newline_differs(cache, place):
    write_secret(place, "s3cret\n")
    assert state(cache, place) == "differs"


def test_a_secret_that_is_missing_or_lacks_the_key_is_unknown(cache, place):
    assert state(cache, place) == "unknown"
    write_secret(place, "s3cret", key="secret-token")
    assert state(cache, place) == "unknown"


def test_a_secret_that_may_not_be_read_is_unknown(demo_cluster, place):
    write_secret(place, "other")
    with running_cache(demo_cluster.kubeconfig_for("kargoweb")) as cache:
        assert state(cache, place) == "unknown"


def test_a_secret_is_unknown_until_it_is_checked(cache, place):
    assert Checks(cache).state(place.name, "hook", place.path().rpartition("/")[2]) == "unknown"


def test_a_rotated_secret_differs_at_the_next_check_and_a_new_url_is_unknown(cache, place):
    write_secret(place, "s3cret")
    checks, digest = Checks(cache), published_digest(cache, place)
    checks.check(1_000)
    change_secret(place, "rotated")
    checks.check(1_000)
    assert checks.state(place.name, "hook", digest) == "matches"  # it was checked a moment ago
    checks.now += 61
    checks.check(1_000)
    assert checks.state(place.name, "hook", digest) == "differs"
    assert checks.state(place.name, "hook", "0" * 64) == "unknown"


def test_a_new_url_is_checked_immediately(cache, place):
    write_secret(place, "s3cret")
    checks = Checks(cache)
    published_digest(cache, place)
    checks.check(1_000)
    change_secret(place, "rotated")
    place.publish("hook", secret="rotated")
    digest = place.path(secret="rotated").rpartition("/")[2]
    until("the new URL is known", lambda: cache.route(digest))
    checks.check(1_000)
    assert checks.state(place.name, "hook", digest) == "matches"


def test_a_batch_is_limited_and_starts_with_those_due_the_longest(demo_cluster, tmp_path_factory):
    with World(demo_cluster.kubeconfig) as world, running_cache(demo_cluster.kubeconfig) as cache:
        assert cache.wait_ready(PATIENCE)
        places = [world.bare_project() for _ in range(3)]
        for place in places:
            write_secret(place, "s3cret")
            place.publish("hook")
        digests = {place.name: published_digest(cache, place) for place in places}
        checks = Checks(cache)

        def matching() -> int:
            states = [checks.state(name, "hook", digest) for name, digest in digests.items()]
            return states.count(SecretState.MATCHES)

        total = sum(len(config.published) for config in cache.configs())
        for _ in range(total - 1):
            checks.check(1)
        assert matching() < 3 or total > 3
        checks.check(1)
        assert matching() == 3
