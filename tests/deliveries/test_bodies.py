"""How the body of a delivery is stored: as it is, or compressed."""

from __future__ import annotations

import json
import random
import zlib

import pytest

from receivers.deliveries.redelivery import redeliver
from receivers.kargo.responses import MAX_BODY
from receivers.models import COMPRESSED_FROM, Delivery
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body


def stored(body):
    """Store a delivery with this body; return it as the database has it."""
    [row] = store(delivery(unique_name(), body=body))
    return Delivery.objects.get(pk=row.pk)


def test_a_short_body_is_stored_as_it_is(database):
    row = stored(b"a" * (COMPRESSED_FROM - 1))
    assert bytes(row.stored_body) == row.body == b"a" * (COMPRESSED_FROM - 1)


def test_a_long_body_is_stored_compressed(database):
    row = stored(b"a" * MAX_BODY)
    assert (row.body, row.body_size) == (b"a" * MAX_BODY, MAX_BODY)
    assert len(row.stored_body) == row.stored_bytes < MAX_BODY / 100


@pytest.mark.parametrize("compressed_before", [False, True])
def test_a_body_that_compression_makes_no_smaller_is_stored_as_it_is(database, seed, compressed_before):
    body = random.Random(seed).randbytes(2 * COMPRESSED_FROM)
    if compressed_before:
        body = zlib.compress(body)
    row = stored(body)
    assert bytes(row.stored_body) == row.body == body


def test_an_empty_body_is_not_a_dropped_one(database):
    row = stored(b"")
    assert (row.body, row.body_dropped) == (b"", False)


def test_a_manipulated_row_does_not_fill_the_memory():
    row = Delivery(body_size=1, stored_bytes=2, stored_body=zlib.compress(bytes(20 * MAX_BODY)))
    assert row.body == bytes(MAX_BODY)


def test_a_long_push_is_matched_and_redelivered(product, world):
    project = routed_project(product, world, image("docker.io/example/long"))
    body = json.dumps(json.loads(push_body("example/long", "1.2.3")) | {"padding": "x" * 50_000}).encode()
    response = product.post(project.path(), body)
    original = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (original.body, original.warehouses) == (body, 1)
    assert original.stored_bytes < COMPRESSED_FROM
    redelivery = wait_for_result(str(redeliver(original, "ada").pk))
    assert (redelivery.body, redelivery.warehouses) == (body, 1)
    assert redelivery.stored_bytes == original.stored_bytes
