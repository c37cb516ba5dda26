"""Some of the conformance vectors of every kind, as real requests to the running product."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from receivers.cluster.errors import ClusterError
from receivers.kargo.kinds import KINDS
from receivers.kargo.resources import (
    PROJECT_CONFIGS,
    REFRESH_ANNOTATION,
    SECRETS,
    WAREHOUSES,
    decode_receiver,
)
from tests.clusters import until
from tests.kargo.test_kind_vectors import EVENTS, body_of, entries, on_the_wire, secret_of

PER_KIND = 6
LIMIT = 64 * 1024  # bytes of a body; those near the limit are tested once, elsewhere


def is_testable(vector: dict[str, Any]) -> bool:
    """Say whether a vector needs nothing but one project, and is answered as in Kargo."""
    everything = {vector["project"], *(each["namespace"] for each in vector["warehouses"])}
    return (
        vector["project"] != ""
        and "promotions" not in vector
        and "path_suffix" not in vector
        and "chunked" not in vector
        and not vector.get("noSecret")
        and vector["expect"] == vector["expect_defaulted"]
        and vector["expect"]["status"] not in {0, 500}
        and vector["method"] == "POST"
        and len(body_of(vector)) < LIMIT
        and len(everything) <= 2
        and "Host" not in vector["headers"]
    )


def sample() -> list[Any]:
    """Return some vectors of each kind, of every status."""
    chosen: list[Any] = []
    for name in EVENTS:
        candidates = [vector for vector in entries(name) if is_testable(vector)]
        candidates.sort(key=lambda vector: (vector["expect"]["status"], vector["id"]))
        chosen += candidates[:: max(1, len(candidates) // PER_KIND)]
    return [pytest.param(vector, id=vector["id"]) for vector in chosen]


@pytest.mark.parametrize("vector", sample())
def test_a_request_is_answered_as_by_kargo(product, world, vector):
    project = world.bare_project()
    receiver = decode_receiver(vector["receiver"])
    kind = KINDS[receiver.kind]
    secret = secret_of(vector, kind)
    if secret is None:
        pytest.skip("the Secret has no such key")
    data = {kind.secret_key: base64.b64encode(secret).decode()}
    at = {"namespace": project.name}
    try:
        world.create(SECRETS, {"metadata": {"name": receiver.secret_name, **at}, "data": data}, project.name)
        for each in vector["warehouses"]:
            if each["namespace"] == vector["project"]:
                metadata = {"name": each["name"], "labels": each.get("labels", {}), **at}
                spec = {"subscriptions": each["subscriptions"]}
                world.create(WAREHOUSES, {"metadata": metadata, "spec": spec}, project.name)
    except ClusterError as error:
        pytest.skip(f"the API server refuses the objects: {error}")
    path = project.path(receiver.name, kind.name, secret.decode("latin-1")) if secret.isascii() else ""
    if not path:
        pytest.skip("the Secret is not text")
    spec = {"webhookReceivers": [vector["receiver"]]}
    world.create(PROJECT_CONFIGS, {"metadata": {"name": project.name, **at}, "spec": spec}, project.name)
    published = [{"name": receiver.name, "path": path, "url": f"http://hooks{path}"}]
    world.cluster.patch_status(
        PROJECT_CONFIGS, project.name, project.name, {"status": {"webhookReceivers": published}}
    )
    query = f"?{vector['query']}" if vector.get("query") else ""
    headers = {
        name: value if isinstance(value, str) else value[0] for name, value in vector["headers"].items()
    }
    if "User-Agent" not in headers:
        headers["User-Agent"] = ""
    expected = vector["expect"]
    body = on_the_wire(expected["body"]).replace(b'"proj"', json.dumps(project.name).encode())

    def answered() -> bool:
        response = product.post(path + query, body_of(vector), headers)
        # The vectors have the fields of generic receivers' results in the order of the alphabet.
        same = (
            json.loads(response.data) == json.loads(body) if kind.name == "generic" else response.data == body
        )
        return bool(response.status == expected["status"] and same)

    until("the answer is that of Kargo", answered)
    refreshed = {
        f"{vector['project']}/{each['name']}"
        for each in vector["warehouses"]
        if each["namespace"] == vector["project"]
        and world.cluster.get(WAREHOUSES, each["name"], project.name)["metadata"]
        .get("annotations", {})
        .get(REFRESH_ANNOTATION)
    }
    assert refreshed == set(expected["refreshed"])
