"""Fixtures and hooks for every test.

With pytest-xdist, each worker is a process with its own databases, data directories, servers and ports.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from receivers.models import Delivery
from tests import components
from tests.clusters import DemoCluster
from tests.databases import SERVED, UNSERVED, created_databases
from tests.deliveries.rows import delete_in_batches, insert_in_batches
from tests.product import Product
from tests.real_cluster import NOT_CONFIGURED, given_cluster_configured, real_cluster_configured
from tests.worlds import World

SEED_VARIABLE: Final = "KARGOWEB_TEST_SEED"
# More than one, because many tests wait for a server most of the time.
WORKERS_PER_CORE: Final = 2
# Rooms that know no Django (see the import layers in pyproject.toml), so their tests use no database.
WITHOUT_DATABASE: Final = {"kargo", "cluster"}
# The slowest files, slowest first: those with end-to-end tests, then the others. Workers run them before all others, so
# that all workers end at about the same time.
SLOW_FILES: Final = (
    "tests/browser/test_every_page.py",
    "tests/security/test_access_matrix.py",
    "tests/resilience/test_database_away.py",
    "tests/api/test_schema.py",
    "tests/browser/test_push.py",
    "tests/refreshes/test_restarts.py",
    "tests/refreshes/test_a_thousand_pushes.py",
    "tests/browser/test_deliveries.py",
    "tests/resilience/test_slow_clients.py",
    "tests/accounts/test_kubernetes_access.py",
    "tests/ops/test_alerts_sent.py",
    "tests/ops/test_process.py",
    "tests/browser/test_admin.py",
    "tests/demo/test_demo_command.py",
    "tests/accounts/test_oidc.py",
    "tests/browser/test_project.py",
    "tests/bench/test_against.py",
    "tests/bench/test_chaos.py",
    "tests/browser/test_new_receiver.py",
    "tests/resilience/test_api_server_hangs.py",
    "tests/browser/test_needs_action.py",
    "tests/ops/test_traces.py",
    "tests/webhook/test_upstream.py",
    "tests/ops/test_metrics.py",
    "tests/ops/test_roles.py",
    "tests/commands/test_serve.py",
    "tests/commands/test_pipes.py",
    "tests/web/test_system_status.py",
    "tests/web/test_admin.py",
    "tests/health/test_health.py",
    "tests/refreshes/test_outcomes.py",
    "tests/kargo/test_hostile_kinds.py",
    "tests/web/test_needs_action.py",
    "tests/kargo/test_hostile_bodies.py",
    "tests/web/test_send_test_push.py",
    "tests/commands/test_redeliver.py",
    "tests/kargo/test_vectors.py",
    "tests/web/test_project_detail.py",
    "tests/web/test_password.py",
    "tests/contract/test_cache_recovery.py",
    "tests/health/test_missed_pushes.py",
    "tests/test_chart.py",
    "tests/api/test_serializers.py",
    "tests/security/test_invalid_input.py",
    "tests/api/test_wait.py",
    "tests/kargo/test_kind_vectors.py",
    "tests/web/test_overview.py",
    "tests/controller/test_receiver_controller.py",
    "tests/web/test_sign_in.py",
    "tests/web/test_error_pages.py",
)

# No deadlines: on a busy machine they fail without a fault.
hypothesis_settings.register_profile(
    "kargoweb", print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("kargoweb")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seed`."""
    parser.addoption(
        "--seed",
        type=int,
        help=f"seed of the tests that use random values (default: ${SEED_VARIABLE}, or a new one for each run)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before Hypothesis reads its options; xdist's workers inherit it through the environment."""
    seed = config.option.seed
    if seed is None:
        seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(2**32))
    config.option.seed = seed
    os.environ[SEED_VARIABLE] = str(seed)
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = seed


def pytest_unconfigure() -> None:
    """Remove the data directories of this process."""
    shutil.rmtree(SERVED.environment["KARGOWEB_DATA_DIR"], ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed."""
    return f"random tests: --seed={config.option.seed}"


def pytest_xdist_auto_num_workers() -> int:
    """Use `WORKERS_PER_CORE` workers for each core.

    Use one worker on a given cluster: its resource types are installed and removed for the whole cluster.
    """
    return 1 if given_cluster_configured() else WORKERS_PER_CORE * (os.cpu_count() or 1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import, in each worker, the files that have none of the tests asked for: that would take seconds."""
    room = collection_path.parent.name
    if not collection_path.name.startswith("test_"):
        return None
    if (
        config.option.markexpr == "e2e"
        and room != "browser"
        and b"mark.e2e" not in collection_path.read_bytes()
    ):
        return True
    if config.option.markexpr.startswith("database ") and room in WITHOUT_DATABASE:
        return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the database or a browser, and put the slowest files first."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        room = item.path.parent.name
        if "database" in names:
            assert room not in WITHOUT_DATABASE, f"{item.nodeid}: `make test-postgres` would not find it"
            item.add_marker(pytest.mark.database)
        if "chromium" in names:
            assert room == "browser", f"{item.nodeid}: `make test-e2e` would not find it"
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.e2e)
    rank = {name: position for position, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report what was not run, and after failures the seed. With xdist, only the controller calls this hook."""
    components.pytest_terminal_summary(terminalreporter)
    reports = [report for group in terminalreporter.stats.values() for report in group]
    contract = any(getattr(report, "nodeid", "").startswith("tests/contract/") for report in reports)
    if contract and not real_cluster_configured():
        terminalreporter.write_sep("!", f"contract tests: {NOT_CONFIGURED}", yellow=True)
    if config.option.markexpr.startswith("not e2e"):
        terminalreporter.write_sep("!", "end-to-end tests were not run: `make test-e2e`", yellow=True)
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"Repeat the random values of this run with --seed={config.option.seed}.")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed for random values: `random.Random(seed)`."""
    return int(pytestconfig.option.seed)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Choose the test's database: the shared product's if the test uses that, otherwise the other one."""
    names = getattr(item, "fixturenames", ())
    (UNSERVED if "database" in names and "shared_product" not in names else SERVED).use()


@pytest.fixture(scope="session")
def database(django_db_blocker) -> Iterator[None]:
    """The worker's two databases, migrated. `pytest_runtest_setup` chooses one of them for each test."""
    chosen = SERVED if connection.settings_dict["NAME"] == SERVED.name else UNSERVED
    with django_db_blocker.unblock(), created_databases():
        chosen.use()
        yield


@pytest.fixture(scope="session")
def demo_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    """A Kubernetes API with Kargo's resource types, without objects, that can be made to fail."""
    with DemoCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shared_product(database: None, demo_cluster: DemoCluster) -> Iterator[Product]:
    """kargoweb, serving, in front of `demo_cluster`."""
    with Product(demo_cluster.kubeconfig) as product:
        yield product


@pytest.fixture
def product(shared_product: Product, demo_cluster: DemoCluster) -> Iterator[Product]:
    """kargoweb, serving, in front of a cluster that does not fail before and after the test."""
    yield shared_product
    demo_cluster.faults()


@pytest.fixture
def world(demo_cluster: DemoCluster) -> Iterator[World]:
    """Creates projects, receivers and Warehouses in the cluster under names that no other test uses."""
    with World(demo_cluster.kubeconfig) as world:
        yield world


@pytest.fixture
def store_many(database: None) -> Iterator[Callable[..., list[Delivery]]]:
    """Store more rows than a page of a list scans, and delete them after the test.

    Rows that stay would be newer than those of other tests, whose searches would stop before they reach their own.
    """
    stored: list[Delivery] = []

    def insert_rows(*rows: Delivery) -> list[Delivery]:
        stored.extend(rows)
        return insert_in_batches(rows)

    yield insert_rows
    delete_in_batches(stored)
