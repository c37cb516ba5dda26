"""Deliveries of one push are grouped, and none of them is dropped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.times import parse_time
from tests.delivery_rows import deliveries_of, routed_project, wait_for_result
from tests.worlds import image, push_body

SIX = Path(__file__).resolve().parent.parent / "payloads" / "2021-09-capture-multiarch-six-deliveries.json"


def send(product, place, *bodies, at_once=1):
    """Post bodies, `at_once` at a time; return the deliveries once all have a result."""
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda body: product.post(place.path(), body), bodies))
    return [wait_for_result(answer.headers["X-Kargoweb-Delivery"]) for answer in answers]


def test_six_deliveries_of_one_push_are_one_row_and_the_last_one_is_covered_by_a_refresh(product, world):
    place = routed_project(product, world, image("fireflyiii/core", imageSelectionStrategy="NewestBuild"))
    rows = send(product, place, *[SIX.read_bytes()] * 6, at_once=3)
    assert deliveries_of(place).filter(repository="fireflyiii/core", tag="develop").count() == 6
    assert len({row.push_id for row in rows}) == 1
    last = max(rows, key=lambda row: row.received_at)
    requested_at = parse_time(last.refreshes.get().token)
    assert requested_at is not None
    assert requested_at > last.received_at
    carried = parse_time(place.token())
    assert carried is not None
    assert carried >= requested_at

    (shown, *_) = delivery_log().page(DeliveryFilter(project=place.name, tag="develop")).rows
    assert shown.repeats == 6
    assert shown.pk == max(row.pk for row in rows)


def test_another_tag_time_or_receiver_is_another_push(product, world):
    place, other = (routed_project(product, world, image("example/grouped")) for _ in range(2))
    rows = send(
        product,
        place,
        push_body("example/grouped", "1.0.0"),
        push_body("example/grouped", "1.0.1"),
        push_body("example/grouped", "1.0.0", pushed_at=1_700_000_001),
    )
    rows += send(product, other, push_body("example/grouped", "1.0.0"))
    assert len({row.push_id for row in rows}) == 4


def test_deliveries_without_a_time_within_a_minute_are_one_push(product, world):
    place = routed_project(product, world, image("example/timeless"))
    rows = send(product, place, *[push_body("example/timeless", "1.0.0", pushed_at=None)] * 3)
    assert len({row.push_id for row in rows}) == 1
    assert rows[0].push_id is not None


def test_a_body_without_a_repository_is_a_push_of_its_own_and_an_invalid_body_is_no_push(product, world):
    place = routed_project(product, world)
    rows = send(product, place, b"{}", b"{}", b"[]")
    assert [row.push_id for row in rows] == [rows[0].pk, rows[1].pk, None]
