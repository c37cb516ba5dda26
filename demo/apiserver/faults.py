"""Inject faults into requests, for tests. Clients configure the faults with `PUT /faults`.

`PUT /faults` accepts `{"rules": [...], "dropWatches": true, "expireWatches": true, "compact": true,
"swapEvents": true, "record": "<annotation>"}`. All fields are optional, and the rules replace the previous ones.

A rule selects requests by `verb`, `resource`, `namespace` and `name` (default: any). It delays them by `latency`
seconds and fails them with one of `status` (with `retryAfter` in seconds), `reset` (close the connection without a
response) or `silence` (the same after this many seconds). It fails `times` requests (default: all), each with
`probability` (default: 1). With `after`, the request is processed first and only its response is lost.

`DELETE /faults` removes all faults. `GET /faults/log` returns the counted requests and recorded patches, and
`DELETE /faults/log` clears them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final

import orjson

from demo.apiserver.errors import bad_request, generic, method_not_allowed
from demo.apiserver.messages import Request, Response
from demo.apiserver.queries import Watches
from demo.apiserver.routes import Route
from demo.apiserver.storage import Store
from demo.apiserver.wire import DropConnectionError

MAX_RECORDS: Final = 100_000  # recorded patches


@dataclass(slots=True)
class FaultRule:
    """A rule. The fields are those of the JSON."""

    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    latency: float = 0.0
    status: int = 0
    retryAfter: int = 0
    reset: bool = False
    silence: float = 0.0
    probability: float = 1.0
    times: int | None = None
    after: bool = False

    def matches(self, route: Route) -> bool:
        """Return whether the rule selects the request."""
        fields = (
            (self.verb, route.verb),
            (self.resource, route.resource),
            (self.namespace, route.namespace),
            (self.name, route.name),
        )
        return all(selected in ("", value) for selected, value in fields)

    def triggers(self) -> bool:
        """Return whether this request fails, and count the failure."""
        if not (self.status or self.reset or self.silence) or self.times == 0:
            return False
        if self.probability < 1.0 and random.random() >= self.probability:  # noqa: S311 - not a secret
            return False
        if self.times is not None:
            self.times -= 1
        return True

    async def fail(self) -> None:
        """Fail the request. Always raises `ApiError` or `DropConnectionError`."""
        if self.silence:
            await asyncio.sleep(self.silence)
        if self.reset or not self.status:
            raise DropConnectionError
        raise generic(self.status, retry_after=self.retryAfter)


@dataclass(slots=True)
class PatchRecord:
    """A received patch. Times are `time.monotonic_ns()`, which all processes of a machine share."""

    received: int
    namespace: str
    name: str
    value: str
    answered: int = 0


class Faults:
    """The current rules, counters of requests, and recorded patches."""

    def __init__(self, store: Store, watches: Watches) -> None:
        self._store = store
        self._watches = watches
        self._rules: list[FaultRule] = []
        self._counts: Counter[str] = Counter()
        self._record = ""
        self._patches: deque[PatchRecord] = deque(maxlen=MAX_RECORDS)
        self.reloads = 0  # of the token file

    async def before(self, route: Route, request: Request) -> PatchRecord | None:
        """Count a request, then delay or fail it. Raises `ApiError` or `DropConnectionError`."""
        self._counts[f"{route.verb} {route.resource}"] += 1
        record = self._record_patch(route, request) if self._record and route.verb == "patch" else None
        if self._rules:
            await self._apply(route, after=False)
        return record

    async def after(self, route: Route, record: PatchRecord | None) -> None:
        """Lose the response of a processed request. Raises `ApiError` or `DropConnectionError`."""
        if record is not None:
            record.answered = time.monotonic_ns()
        if self._rules:
            await self._apply(route, after=True)

    async def _apply(self, route: Route, *, after: bool) -> None:
        for rule in self._rules:
            if rule.after is after and rule.matches(route):
                if rule.latency:
                    await asyncio.sleep(rule.latency)
                if rule.triggers():
                    await rule.fail()

    def _record_patch(self, route: Route, request: Request) -> PatchRecord:
        try:
            value = orjson.loads(request.body)["metadata"]["annotations"][self._record]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            value = ""
        record = PatchRecord(time.monotonic_ns(), route.namespace, route.name, str(value))
        self._patches.append(record)
        return record

    def serve(self, request: Request) -> Response:
        """Handle a request for `/faults` or `/faults/log`. Raises `ApiError`."""
        match request.method, request.path:
            case "PUT", "/faults":
                self._set(request.body)
            case "DELETE", "/faults":
                self._rules, self._record, self._watches.swapped = [], "", False
            case "GET", "/faults/log":
                return Response(200, orjson.dumps(self._log()))
            case "DELETE", "/faults/log":
                self._counts.clear()
                self._patches.clear()
            case _:
                raise method_not_allowed()
        return Response(200, b"{}")

    def _log(self) -> dict[str, Any]:
        return {"requests": dict(self._counts), "patches": list(self._patches), "reloads": self.reloads}

    def _set(self, body: bytes) -> None:
        try:
            faults: dict[str, Any] = orjson.loads(body)
            self._rules = [FaultRule(**rule) for rule in faults.get("rules", [])]
        except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
            raise bad_request(f"faults: {error}") from None
        self._watches.swapped = bool(faults.get("swapEvents"))
        self._record = faults.get("record", "")
        if faults.get("compact"):
            self._store.compact()
        if faults.get("expireWatches"):
            self._watches.expire()
        if faults.get("dropWatches"):
            self._watches.abort()
