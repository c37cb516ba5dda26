"""Deliveries of the same push are grouped, and none is dropped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.times import parse_time
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.worlds import image, push_body

SIX_DELIVERIES = (
    Path(__file__).resolve().parent.parent / "payloads" / "2021-09-capture-multiarch-six-deliveries.json"
)


def send(product, project, *bodies, threads=1):
    """Post bodies with several threads; return the deliveries once all have a result."""
    with ThreadPoolExecutor(threads) as pool:
        responses = list(pool.map(lambda body: product.post(project.path(), body), bodies))
    return [wait_for_result(response.headers["X-Kargoweb-Delivery"]) for response in responses]


def test_six_deliveries_of_a_push_are_one_row_and_a_refresh_follows_the_last_one(product, world):
    project = routed_project(product, world, image("fireflyiii/core", imageSelectionStrategy="NewestBuild"))
    rows = send(product, project, *[SIX_DELIVERIES.read_bytes()] * 6, threads=3)
    assert deliveries_of(project).filter(repository="fireflyiii/core", tag="develop").count() == 6
    assert len({row.push_id for row in rows}) == 1
    last = max(rows, key=lambda row: row.received_at)
    requested_at = parse_time(last.refreshes.get().token)
    assert requested_at is not None
    assert requested_at > last.received_at
    current = parse_time(project.token())
    assert current is not None
    assert current >= requested_at

    (listed, *_) = delivery_log().page(DeliveryFilter(project=project.name, tag="develop")).rows
    assert listed.repeats == 6
    assert listed.pk == max(row.pk for row in rows)


def test_deliveries_to_several_receivers_are_the_same_push_and_each_receiver_counts_its_own(product, world):
    project, other = (routed_project(product, world, image("example/shared")) for _ in range(2))
    body = push_body("example/shared", "1.0.0")
    rows = [*send(product, project, body, body), *send(product, other, body)]
    assert len({row.push_id for row in rows}) == 1
    for name, count in ((project.name, 2), (other.name, 1)):
        (listed,) = delivery_log().page(DeliveryFilter(project=name, tag="1.0.0")).rows
        assert (listed.project, listed.repeats) == (name, count)


def test_a_different_tag_or_time_is_a_different_push(product, world):
    project = routed_project(product, world, image("example/grouped"))
    rows = send(
        product,
        project,
        push_body("example/grouped", "1.0.0"),
        push_body("example/grouped", "1.0.1"),
        push_body("example/grouped", "1.0.0", pushed_at=1_700_000_001),
    )
    assert len({row.push_id for row in rows}) == 3


def test_deliveries_without_a_time_are_one_push_if_they_arrive_within_a_minute(product, world):
    project = routed_project(product, world, image("example/timeless"))
    rows = send(product, project, *[push_body("example/timeless", "1.0.0", pushed_at=None)] * 3)
    assert len({row.push_id for row in rows}) == 1
    assert rows[0].push_id is not None


def test_each_body_without_a_repository_is_a_separate_push_and_an_invalid_body_is_no_push(product, world):
    project = routed_project(product, world)
    rows = send(product, project, b"{}", b"{}", b"[]")
    assert [row.push_id for row in rows] == [rows[0].pk, rows[1].pk, None]
