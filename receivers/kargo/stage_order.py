"""The order of the Stages that Freight of a Warehouse takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from receivers.kargo.stages import Stage


def upstreams_by_stage(stages: Iterable[Stage], warehouse: str) -> dict[str, tuple[str, ...]]:
    """Return the Stages that request Freight of a Warehouse, each with the existing Stages that it takes it from."""
    requests = {stage.name: request for stage in stages if (request := stage.request(warehouse)) is not None}
    return {
        name: tuple(
            dict.fromkeys(
                upstream for upstream in request.upstreams if upstream in requests and upstream != name
            )
        )
        for name, request in requests.items()
    }


def depths(upstreams: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Return the longest distance of each Stage from the Warehouse. A cycle is cut at its Stage closest to it."""
    result: dict[str, int] = {}
    remaining = sorted(upstreams)
    while remaining:
        ready = [name for name in remaining if all(upstream in result for upstream in upstreams[name])]
        # In a cycle none is ready: cut it where the Freight can enter first.
        entered = [name for name in remaining if any(upstream in result for upstream in upstreams[name])]
        for name in ready or (entered or remaining)[:1]:
            result[name] = 1 + max((result.get(upstream, -1) for upstream in upstreams[name]), default=-1)
        remaining = [name for name in remaining if name not in result]
    return result
