"""A thousand pushes while Kargo, the registry and the API server fail at random: every push gets the right outcome.

The right outcome is derived afterwards from the cluster and the registry, not from kargoweb.
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

PUSHES = 1_000
WAREHOUSES_OF_A_KIND = 16  # so that no repository gets as many tags as discoveryLimit keeps
MISHAPS = ("slow=0.3", "lag=0.8", "fail-discovery-once", "slow=0.2,fail-discovery-once", "dead", None)
NEVER_PUT = 0.03  # of the tags: announced, and never in the registry
PATIENCE = {
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
    mishaps: bool = True


KINDS = (
    Kind("ordinary"),
    Kind("manual", {"freightCreationPolicy": "Manual"}, Outcome.MANUAL_CREATION_POLICY),
    Kind("picky", {"freightCreationCriteria": {"expression": "false"}}, Outcome.CRITERIA_NOT_MET),
    Kind("sharded", {"shard": "gone"}, Outcome.NOT_HANDLED, mishaps=False),
)
SHARES = (85, 5, 5, 5)  # per cent of the pushes that go to each kind


@dataclass(frozen=True, slots=True)
class Target:
    """One Warehouse, in a project of its own."""

    kind: Kind
    place: KargoProject


class Chaos:
    """Makes Warehouses, watches and the API server fail at random until it is stopped."""

    def __init__(self, world: World, cluster: DemoCluster, targets: list[Target], seed: int) -> None:
        self._world, self._cluster = world, cluster
        self._targets = [target for target in targets if target.kind.mishaps]
        self._dice = random.Random(f"{seed} chaos")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all failures."""
        self._ended.set()
        self._thread.join()
        for target in self._targets:
            self._behave(target, None)
        self._cluster.faults(record=REFRESH_ANNOTATION)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            dice = self._dice
            self._behave(dice.choice(self._targets), dice.choice(MISHAPS))
            refused = {"verb": "patch", "resource": "warehouses", "status": dice.choice((429, 500, 503))}
            rules = [refused | {"times": 2}] if dice.random() < 0.2 else []
            self._cluster.faults(*rules, record=REFRESH_ANNOTATION, dropWatches=dice.random() < 0.1)

    def _behave(self, target: Target, behavior: str | None) -> None:
        patch = {"metadata": {"annotations": {"demo.kargoweb/behavior": behavior}}}
        until("it is annotated", lambda: self._annotated(target, patch))

    def _annotated(self, target: Target, patch: dict[str, Any]) -> bool:
        try:
            self._world.cluster.patch(WAREHOUSES, "main", target.place.name, patch)
        except ClusterError:  # one of the faults above
            return False
        return True


@pytest.fixture
def installation(database, tmp_path) -> Iterator[tuple[Product, World, Kargo, DemoCluster]]:
    """A cluster, a controller and a serving process of this test's own."""
    with DemoCluster(tmp_path / "cluster") as cluster, World(cluster.kubeconfig) as world:
        kargo = Kargo(cluster, tmp_path / "registry.sqlite3")
        with Product(cluster.kubeconfig_for("kargoweb"), **PATIENCE) as product:
            yield product, world, kargo, cluster
        kargo.close()


def make_targets(product: Product, world: World, kargo: Kargo) -> list[Target]:
    """Create Warehouses of every kind, each with a receiver, and wait until the product knows them."""
    targets = []
    for kind in KINDS:
        for _ in range(WAREHOUSES_OF_A_KIND):
            place = world.bare_project()
            kargo.registry.put(place.repository, "1.0.0")
            subscription = image(place.repository, discoveryLimit=100)
            body = {"metadata": {"name": "main"}, "spec": {"subscriptions": [subscription], **kind.spec}}
            world.create(WAREHOUSES, body, place.name)
            place.publish("hook")
            targets.append(Target(kind, place))
    for target in targets:
        until("the Warehouse is known", partial(is_known, product, target.place))
    return targets


def is_known(product: Product, place: KargoProject) -> bool:
    """Say whether the product knows the receiver and the Warehouse."""
    answer = product.post(place.path(), push_body(place.repository, "no-version"))
    return answer.status == 200 and bool(wait_for_result(answer.headers["X-Kargoweb-Delivery"]).verdicts)


@pytest.mark.timeout(600)
def test_every_push_gets_the_right_outcome(installation, seed) -> None:
    product, world, kargo, cluster = installation
    targets = make_targets(product, world, kargo)
    cluster.faults(record=REFRESH_ANNOTATION)
    chaos = Chaos(world, cluster, targets, seed)
    of_kind = [[target for target in targets if target.kind is kind] for kind in KINDS]
    never_put: set[tuple[str, str]] = set()

    def push(number: int) -> None:
        dice = random.Random(f"{seed} {number}")  # independent of the order in which the threads run
        target = dice.choice(dice.choices(of_kind, SHARES)[0])
        tag = f"{dice.randrange(1, 4)}.{number}.{dice.randrange(10)}"
        pushed_at = int(time.time())
        if dice.random() < NEVER_PUT:
            never_put.add((target.place.name, tag))
        else:
            kargo.registry.put(target.place.repository, tag, lag=dice.choice((0, 0, 0, 0.5, 2)))
        body = push_body(target.place.repository, tag, media_type=IMAGE_INDEX, pushed_at=pushed_at)
        answer = product.post(target.place.path(), body)
        assert answer.status in (200, 500), answer.data  # 500 if the API server refused; it is retried

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(PUSHES)))
    chaos.stop()
    names = [target.place.name for target in targets]
    pushed = Delivery.objects.filter(project__in=names).exclude(tag="no-version")
    wait_until_all_have_ended(pushed)
    wait_until_all_are_right(targets, world, kargo, never_put)
    sent = sum(1 for one in cluster.fault_log()["patches"] if one["value"] and one["namespace"] in names)
    assert pushed.count() == PUSHES
    assert sent <= 2 * PUSHES, Counter(pushed.values_list("outcome", flat=True))


def wait_until_all_have_ended(pushed: Any) -> None:
    """Wait as long as there is progress. Those of the shard without a controller take longest."""
    left, deadline = -1, time.monotonic() + 60
    while now_left := pushed.filter(outcome__in=OPEN).count():
        if now_left != left:
            left, deadline = now_left, time.monotonic() + 60
        assert time.monotonic() < deadline, f"{left} have not ended"
        time.sleep(0.2)


def wait_until_all_are_right(
    targets: list[Target], world: World, kargo: Kargo, never_put: set[tuple[str, str]]
) -> None:
    """Wait for late Freight, which corrects outcomes after they ended, on a busy machine after some seconds."""
    deadline = time.monotonic() + 20
    while (wrong := wrong_outcomes(targets, world, kargo, never_put)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert wrong == []


def wrong_outcomes(
    targets: list[Target], world: World, kargo: Kargo, never_put: set[tuple[str, str]]
) -> list[tuple[Any, ...]]:
    """Return the deliveries whose outcome contradicts the cluster and the registry."""
    wrong = []
    for target in targets:
        place = target.place
        tags = {tag.name for tag in kargo.registry.tags(place.repository)}
        created = {
            freight["images"][0]["tag"]
            for page in world.cluster.list_pages(FREIGHTS, place.name)
            for freight in page.items
        }
        for delivery in Delivery.objects.filter(project=place.name).exclude(tag="no-version"):
            right = right_outcomes(
                target, delivery.tag, tags, created, never=(place.name, delivery.tag) in never_put
            )
            if delivery.outcome not in right:
                wrong.append((target.kind.name, delivery.tag, delivery.outcome, delivery.reason, right))
    return wrong


def right_outcomes(target: Target, tag: str, tags: set[str], created: set[str], *, never: bool) -> set[str]:
    """Return the right outcomes of a push of `tag`."""
    if target.kind.expected is Outcome.NOT_HANDLED:
        return {Outcome.NOT_HANDLED}
    if never:
        return {Outcome.TAG_NOT_VISIBLE}
    if target.kind.expected is not None:
        return {target.kind.expected}
    if tag in created:
        return {Outcome.FREIGHT_CREATED}
    newer = {other for other in tags if rank(other) > rank(tag)}
    return {Outcome.NOT_NEWEST} if newer else set()


def rank(tag: str) -> tuple[Any, ...]:
    version = semver.parse_version(tag)
    assert version
    return semver.order(version)
