"""A thousand pushes while Kargo, the registry and the API server fail at random: every push gets the correct outcome.

The correct outcome is derived from the cluster and the registry at the end, not from kargoweb.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from demo.registry import IMAGE_INDEX
from receivers.cluster.errors import ClusterError
from receivers.kargo import semver
from receivers.kargo.resources import FREIGHTS, REFRESH_ANNOTATION, WAREHOUSES
from receivers.models import Delivery, Outcome
from tests.clusters import DemoCluster, until
from tests.delivery_rows import wait_for_result
from tests.demo.kargo import Kargo
from tests.product import Product
from tests.refreshes.shop import OPEN
from tests.worlds import KargoProject, World, image, push_body

pytestmark = pytest.mark.e2e

PUSHES = 1_000
WAREHOUSES_PER_KIND = 16  # enough that no repository gets more tags than discoveryLimit
MISBEHAVIORS = ("slow=0.3", "lag=0.8", "fail-discovery-once", "slow=0.2,fail-discovery-once", "dead", None)
MISSING_SHARE = 0.03  # of the tags are announced but never put into the registry
TIMEOUTS = {
    "KARGOWEB_HANDLED_WITHIN": "4",
    "KARGOWEB_FREIGHT_WITHIN": "5",
    "KARGOWEB_DISCOVERY_DELAYS": "0.5,1,2,4,8",
    "KARGOWEB_RATE_LIMIT_DELAYS": "0.5,1,2,4,8",
    "KARGOWEB_LAG_DELAYS": "1,2,4,8",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of Warehouse: its configuration, and the outcome of a push whose tag is in the registry."""

    name: str
    spec: dict[str, Any] = field(default_factory=dict)
    expected: Outcome | None = None
    misbehaves: bool = True


KINDS = (
    Kind("ordinary"),
    Kind("manual", {"freightCreationPolicy": "Manual"}, Outcome.MANUAL_CREATION_POLICY),
    Kind("picky", {"freightCreationCriteria": {"expression": "false"}}, Outcome.CRITERIA_NOT_MET),
    Kind("sharded", {"shard": "gone"}, Outcome.NOT_HANDLED, misbehaves=False),
)
SHARES = (85, 5, 5, 5)  # percent of the pushes, by kind


@dataclass(frozen=True, slots=True)
class Target:
    """A Warehouse in a separate project."""

    kind: Kind
    project: KargoProject


class Chaos:
    """Makes Warehouses, watches and the API server fail at random until it is stopped."""

    def __init__(self, world: World, cluster: DemoCluster, targets: list[Target], seed: int) -> None:
        self._world, self._cluster = world, cluster
        self._targets = [target for target in targets if target.kind.misbehaves]
        self._rng = random.Random(f"{seed} chaos")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all failures."""
        self._stopped.set()
        self._thread.join()
        for target in self._targets:
            self._behave(target, None)
        self._cluster.faults(record=REFRESH_ANNOTATION)

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            rng = self._rng
            self._behave(rng.choice(self._targets), rng.choice(MISBEHAVIORS))
            refused = {"verb": "patch", "resource": "warehouses", "status": rng.choice((429, 500, 503))}
            rules = [refused | {"times": 2}] if rng.random() < 0.2 else []
            self._cluster.faults(*rules, record=REFRESH_ANNOTATION, dropWatches=rng.random() < 0.1)

    def _behave(self, target: Target, behavior: str | None) -> None:
        patch = {"metadata": {"annotations": {"demo.kargoweb/behavior": behavior}}}
        until("the Warehouse is annotated", lambda: self._annotated(target, patch))

    def _annotated(self, target: Target, patch: dict[str, Any]) -> bool:
        try:
            self._world.cluster.patch(WAREHOUSES, "main", target.project.name, patch)
        except ClusterError:  # one of the faults above
            return False
        return True


@pytest.fixture
def installation(database, tmp_path) -> Iterator[tuple[Product, World, Kargo, DemoCluster]]:
    """A cluster, a controller and a serving process for this test only."""
    with DemoCluster(tmp_path / "cluster") as cluster, World(cluster.kubeconfig) as world:
        kargo = Kargo(cluster, tmp_path / "registry.sqlite3")
        with Product(cluster.kubeconfig_for("kargoweb"), **TIMEOUTS) as product:
            yield product, world, kargo, cluster
        kargo.close()


def create_targets(product: Product, world: World, kargo: Kargo) -> list[Target]:
    """Create Warehouses of every kind, each with a receiver, and wait until the product knows them."""
    targets = []
    for kind in KINDS:
        for _ in range(WAREHOUSES_PER_KIND):
            project = world.bare_project()
            kargo.registry.put(project.repository, "1.0.0")
            subscription = image(project.repository, discoveryLimit=100)
            body = {"metadata": {"name": "main"}, "spec": {"subscriptions": [subscription], **kind.spec}}
            world.create(WAREHOUSES, body, project.name)
            project.publish("hook")
            targets.append(Target(kind, project))
    for target in targets:
        until("the Warehouse is known", partial(is_known, product, target.project))
    return targets


def is_known(product: Product, project: KargoProject) -> bool:
    """Return whether the product knows the receiver and the Warehouse."""
    response = product.post(project.path(), push_body(project.repository, "no-version"))
    return response.status == 200 and bool(wait_for_result(response.headers["X-Kargoweb-Delivery"]).verdicts)


@pytest.mark.timeout(600)
def test_every_push_gets_the_correct_outcome(installation, seed) -> None:
    product, world, kargo, cluster = installation
    targets = create_targets(product, world, kargo)
    cluster.faults(record=REFRESH_ANNOTATION)
    chaos = Chaos(world, cluster, targets, seed)
    of_kind = [[target for target in targets if target.kind is kind] for kind in KINDS]
    missing_tags: set[tuple[str, str]] = set()

    def push(number: int) -> None:
        rng = random.Random(f"{seed} {number}")  # independent of the order in which the threads run
        target = rng.choice(rng.choices(of_kind, SHARES)[0])
        tag = f"{rng.randrange(1, 4)}.{number}.{rng.randrange(10)}"
        pushed_at = int(time.time())
        if rng.random() < MISSING_SHARE:
            missing_tags.add((target.project.name, tag))
        else:
            kargo.registry.put(target.project.repository, tag, lag=rng.choice((0, 0, 0, 0.5, 2)))
        body = push_body(target.project.repository, tag, media_type=IMAGE_INDEX, pushed_at=pushed_at)
        response = product.post(target.project.path(), body)
        # 500 if the API server refused, 503 if the database was too slow as well: it is on disk, and retried.
        assert response.status in (200, 500, 503), response.data

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(1, PUSHES + 1)))  # from 1: "1.0.0" exists before
    chaos.stop()
    names = [target.project.name for target in targets]
    pushed = Delivery.objects.filter(project__in=names).exclude(tag="no-version")
    wait_until_all_have_ended(pushed)
    wait_until_all_are_correct(targets, world, kargo, missing_tags)
    patch_count = len(cluster.recorded_patches(*names))
    assert pushed.count() == PUSHES
    assert patch_count <= 2 * PUSHES, Counter(pushed.values_list("outcome", flat=True))


def wait_until_all_have_ended(pushed: Any) -> None:
    """Wait as long as there is progress. Refreshes of the shard without a controller take longest."""
    unfinished, deadline = -1, time.monotonic() + 60
    while count := pushed.filter(outcome__in=OPEN).count():
        if count != unfinished:
            unfinished, deadline = count, time.monotonic() + 60
        assert time.monotonic() < deadline, f"{unfinished} have not ended"
        time.sleep(0.2)


def wait_until_all_are_correct(
    targets: list[Target], world: World, kargo: Kargo, missing_tags: set[tuple[str, str]]
) -> None:
    """Wait for late Freight, which corrects outcomes later: on a busy machine, after several seconds."""
    deadline = time.monotonic() + 20
    while (wrong := wrong_outcomes(targets, world, kargo, missing_tags)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert wrong == []


def wrong_outcomes(
    targets: list[Target], world: World, kargo: Kargo, missing_tags: set[tuple[str, str]]
) -> list[tuple[Any, ...]]:
    """Return the deliveries whose outcome contradicts the cluster and the registry."""
    wrong = []
    for target in targets:
        project = target.project
        tags = {tag.name for tag in kargo.registry.tags(project.repository)}
        created = {
            freight["images"][0]["tag"]
            for page in world.cluster.list_pages(FREIGHTS, project.name)
            for freight in page.items
        }
        for delivery in Delivery.objects.filter(project=project.name).exclude(tag="no-version"):
            correct = correct_outcomes(
                target, delivery.tag, tags, created, missing=(project.name, delivery.tag) in missing_tags
            )
            if delivery.outcome not in correct:
                wrong.append((target.kind.name, delivery.tag, delivery.outcome, delivery.reason, correct))
    return wrong


def correct_outcomes(
    target: Target, tag: str, tags: set[str], created: set[str], *, missing: bool
) -> set[str]:
    """Return the correct outcomes of a push of `tag`."""
    if target.kind.expected is Outcome.NOT_HANDLED:
        return {Outcome.NOT_HANDLED}
    if missing:
        return {Outcome.TAG_NOT_VISIBLE}
    if target.kind.expected is not None:
        return {target.kind.expected}
    if tag in created:
        return {Outcome.FREIGHT_CREATED}
    newer = {name for name in tags if rank(name) > rank(tag)}
    return {Outcome.NOT_NEWEST} if newer else set()


def rank(tag: str) -> tuple[Any, ...]:
    version = semver.parse_version(tag)
    assert version
    return semver.order(version)
