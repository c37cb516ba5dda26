"""Failures on request, for tests: what `PUT /faults` says happens to the requests it names.

`PUT /faults` takes `{"rules": [...], "dropWatches": true, "expireWatches": true, "compact": true,
"swapEvents": true, "record": "<annotation>"}`, all of it optional; the rules replace those before. A rule names
requests by `verb`, `resource`, `namespace` and `name` (absent: any) and says what happens to them: `latency`
(seconds) for all, and for those it strikes one of `status` (with `retryAfter` in seconds), `reset` (the connection
closes without an answer), `silence` (seconds without an answer, then the connection closes). It strikes `times`
requests (absent: all), each with `probability`. With `after` the request is carried out first and only its
answer is lost. `DELETE /faults` ends all of it; `GET /faults/log` tells what was asked, `DELETE /faults/log`
forgets it.
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
from demo.apiserver.reading import Watches
from demo.apiserver.routing import Route
from demo.apiserver.storage import Store
from demo.apiserver.wire import DropConnectionError

RECORDS: Final = 100_000  # patches remembered for a test to look at


@dataclass(slots=True)
class Rule:
    """One rule; the fields are those of the JSON."""

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

    def names(self, route: Route) -> bool:
        """Say whether the rule is about such a request."""
        asked = (
            (self.verb, route.verb),
            (self.resource, route.resource),
            (self.namespace, route.namespace),
            (self.name, route.name),
        )
        return all(wanted in ("", value) for wanted, value in asked)

    def strikes(self) -> bool:
        """Say whether this request is to fail, and count it."""
        if not (self.status or self.reset or self.silence) or self.times == 0:
            return False
        if self.probability < 1.0 and random.random() >= self.probability:  # noqa: S311 - a dice, not a key
            return False
        if self.times is not None:
            self.times -= 1
        return True

    async def strike(self) -> None:
        """Fail the request. Raises `ApiError` or `DropConnectionError`, always."""
        if self.silence:
            await asyncio.sleep(self.silence)
        if self.reset or not self.status:
            raise DropConnectionError
        raise generic(self.status, retry_after=self.retryAfter)


@dataclass(slots=True)
class PatchRecord:
    """A patch that arrived: times are `time.monotonic_ns()`, which all processes of a machine share."""

    received: int
    namespace: str
    name: str
    value: str
    answered: int = 0


class Faults:
    """The rules in force, and counters of what was asked."""

    def __init__(self, store: Store, watches: Watches) -> None:
        self._store = store
        self._watches = watches
        self._rules: list[Rule] = []
        self._counts: Counter[str] = Counter()
        self._record = ""
        self._patches: deque[PatchRecord] = deque(maxlen=RECORDS)
        self.reloads = 0  # times the token file was read again

    async def before(self, route: Route, request: Request) -> PatchRecord | None:
        """Count a request, then delay or fail it. Raises `ApiError` or `DropConnectionError`."""
        self._counts[f"{route.verb} {route.resource}"] += 1
        record = self._recorded(route, request) if self._record and route.verb == "patch" else None
        if self._rules:
            await self._apply(route, after=False)
        return record

    async def after(self, route: Route, record: PatchRecord | None) -> None:
        """Lose the answer of a request that was carried out. Raises `ApiError` or `DropConnectionError`."""
        if record is not None:
            record.answered = time.monotonic_ns()
        if self._rules:
            await self._apply(route, after=True)

    async def _apply(self, route: Route, *, after: bool) -> None:
        for rule in self._rules:
            if rule.after is after and rule.names(route):
                if rule.latency:
                    await asyncio.sleep(rule.latency)
                if rule.strikes():
                    await rule.strike()

    def _recorded(self, route: Route, request: Request) -> PatchRecord:
        try:
            value = orjson.loads(request.body)["metadata"]["annotations"][self._record]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            value = ""
        record = PatchRecord(time.monotonic_ns(), route.namespace, route.name, str(value))
        self._patches.append(record)
        return record

    def serve(self, request: Request) -> Response:
        """Answer a request for `/faults` or `/faults/log`. Raises `ApiError`."""
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
            asked: dict[str, Any] = orjson.loads(body)
            self._rules = [Rule(**rule) for rule in asked.get("rules", [])]
        except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
            raise bad_request(f"faults: {error}") from None
        self._watches.swapped = bool(asked.get("swapEvents"))
        self._record = asked.get("record", "")
        if asked.get("compact"):
            self._store.compact()
        if asked.get("expireWatches"):
            self._watches.expire()
        if asked.get("dropWatches"):
            self._watches.abort()
