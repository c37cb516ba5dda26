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
def project(world: World) -> KargoProject:
    """A project with one published receiver, whose Secret is missing."""
    project = world.bare_project()
    project.publish("hook")
    return project


def write_secret(project: KargoProject, value: str, key: str = "secret") -> None:
    """Create the Secret that receivers refer to."""
    data = {key: base64.b64encode(value.encode()).decode()}
    project.world.create(SECRETS, {"metadata": {"name": "hooks"}, "data": data}, project.name)


def change_secret(project: KargoProject, value: str) -> None:
    data = {"secret": base64.b64encode(value.encode()).decode()}
    project.world.cluster.patch(SECRETS, "hooks", project.name, {"data": data})


def published_digest(cache, project: KargoProject) -> str:
    """Wait until the cache has the digest of the receiver; return it."""
    digest = project.path().rpartition("/")[2]
    until("the receiver is known", lambda: cache.route(digest))
    return digest


class Checks(SecretChecks):
    """Secret checks with a clock that only the test advances."""

    def __init__(self, cache) -> None:
        self.now = 1.0
        super().__init__(cache, "kargo-system-resources", clock=lambda: self.now)


def state(cache, project: KargoProject) -> SecretState:
    checks = Checks(cache)
    digest = published_digest(cache, project)
    checks.check(1_000)
    return checks.state(project.name, "hook", digest)


def test_the_secret_of_the_url_matches(cache, project):
    write_secret(project, "s3cret")
    assert state(cache, project) == "matches"


def test_a_secret_with_an_additional_newline_differs(cache, project):
    write_secret(project, "s3cret\n")
    assert state(cache, project) == "differs"


def test_a_secret_that_is_missing_or_lacks_the_key_is_missing(cache, project):
    assert state(cache, project) == "missing"
    write_secret(project, "s3cret", key="secret-token")
    assert state(cache, project) == "missing"


def test_a_secret_that_must_not_be_read_is_forbidden(demo_cluster, project):
    write_secret(project, "other")
    with running_cache(demo_cluster.kubeconfig_for("kargoweb")) as cache:
        assert state(cache, project) == "forbidden"


def test_a_secret_is_unknown_until_it_is_checked(cache, project):
    assert Checks(cache).state(project.name, "hook", project.path().rpartition("/")[2]) == "unknown"


def test_a_rotated_secret_differs_at_the_next_check_and_a_new_url_is_unknown(cache, project):
    write_secret(project, "s3cret")
    checks, digest = Checks(cache), published_digest(cache, project)
    checks.check(1_000)
    change_secret(project, "rotated")
    checks.check(1_000)
    assert checks.state(project.name, "hook", digest) == "matches"  # it was checked a moment ago
    checks.now += 61
    checks.check(1_000)
    assert checks.state(project.name, "hook", digest) == "differs"
    assert checks.state(project.name, "hook", "0" * 64) == "unknown"


def test_a_new_url_is_checked_immediately(cache, project):
    write_secret(project, "s3cret")
    checks = Checks(cache)
    published_digest(cache, project)
    checks.check(1_000)
    change_secret(project, "rotated")
    project.publish("hook", secret="rotated")
    digest = project.path(secret="rotated").rpartition("/")[2]
    until("the new URL is known", lambda: cache.route(digest))
    checks.check(1_000)
    assert checks.state(project.name, "hook", digest) == "matches"


def test_the_batch_size_is_limited_and_the_longest_overdue_checks_are_first(demo_cluster, tmp_path_factory):
    with World(demo_cluster.kubeconfig) as world, running_cache(demo_cluster.kubeconfig) as cache:
        assert cache.wait_ready(PATIENCE)
        projects = [world.bare_project() for _ in range(3)]
        for project in projects:
            write_secret(project, "s3cret")
            project.publish("hook")
        digests = {project.name: published_digest(cache, project) for project in projects}
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
