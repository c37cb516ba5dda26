"""The bodies of requests to unknown URLs are not read, even if the URL becomes known before the response."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.clusters import until
from tests.delivery_rows import deliveries_of, routed_project
from tests.product import Product
from tests.worlds import image, push_body

THREADS = 4  # the fewest that a serving process may have
PATCH_SECONDS = 4.0  # of the pushes that take all threads; after 5, kargoweb gives up


def test_a_push_whose_url_becomes_known_while_it_waits_for_a_thread_is_not_taken_for_an_incomplete_one(
    database, demo_cluster, world
):
    with (
        Product(demo_cluster.kubeconfig, KARGOWEB_THREADS=str(THREADS)) as product,
        ThreadPoolExecutor(THREADS + 1) as pool,
    ):
        slow = routed_project(product, world)
        for number in range(THREADS):
            slow.warehouse(f"warehouse-{number}", image(f"example/slow-{number}"))
        last = push_body(f"example/slow-{THREADS - 1}")
        until("all Warehouses are known", lambda: b"refreshed 1" in product.post(slow.path(), last).data)
        project = world.bare_project()
        project.warehouse("warehouse-0", image("example/app"))
        demo_cluster.faults({"verb": "patch", "resource": "warehouses", "latency": PATCH_SECONDS})
        try:
            patches = _patch_count(demo_cluster)
            for number in range(THREADS):
                pool.submit(product.post, slow.path(), push_body(f"example/slow-{number}"))
            until("all threads are taken", lambda: _patch_count(demo_cluster) == patches + THREADS)
            answer = pool.submit(product.post, project.path(), push_body("example/app"))
            project.publish("hook")
            assert answer.result().status == 503
        finally:
            demo_cluster.faults()
        assert not deliveries_of(project).exists()
        until(
            "a retry succeeds", lambda: product.post(project.path(), push_body("example/app")).status == 200
        )


def _patch_count(cluster) -> int:
    requests = cluster.fault_log()["requests"]
    return sum(count for name, count in requests.items() if name == "patch warehouses")
