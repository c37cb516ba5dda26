"""A load for `bench.chaos`: pushes at a constant rate, whatever the servers do."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

DELIVERY = re.compile(rb"^x-kargoweb-delivery: (\S+)\r$", re.IGNORECASE | re.MULTILINE)
SILENCE = 30.0  # seconds until a sender gives up
NO_ANSWER = 0  # instead of a status


@dataclass
class SteadyLoad:
    """Sends pushes to random servers, each over a connection of its own, as Docker Hub does.

    A push is sent again if there is no answer, or one other than 2xx and 4xx. `request` returns the bytes of a push by
    its number, `rate` is the number of requests per second. Two of three requests are retries, while there are any.
    """

    ports: Sequence[int]
    request: Callable[[int], bytes]
    rate: float
    rng: random.Random
    sends: Counter[int] = field(default_factory=Counter)
    """The number of requests by the number of the push."""
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: set[int] = field(default_factory=set)
    recorded: set[str] = field(default_factory=set)
    """The ids of deliveries that any answer names, also that of a failed request."""
    longest: float = 0.0
    """The longest time, in seconds, until an answer arrived or the connection was closed."""
    _retries: deque[int] = field(default_factory=deque)

    async def run(self, seconds: float) -> None:
        """Send pushes for `seconds`. A second run continues where the first one ended."""

        def next_push() -> int:
            if self._retries and self.sends.total() % 3:
                return self._retries.popleft()
            return len(self.sends) + 1

        await self._send_until(lambda elapsed: elapsed >= seconds, next_push)

    async def finish(self, seconds: float) -> None:
        """Send again what has not been acknowledged, for `seconds` at most."""
        while self._retries and seconds > 0:
            begin = time.monotonic()
            await self._send_until(lambda _: not self._retries, self._retries.popleft)
            seconds -= time.monotonic() - begin

    async def _send_until(self, done: Callable[[float], bool], next_push: Callable[[], int]) -> None:
        """Send one push after the other, and wait for their answers. `done` gets the seconds since the start."""
        begin, sent = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not done(time.monotonic() - begin):
                number = next_push()
                self.sends[number] += 1
                group.create_task(self._send(number))
                sent += 1
                await asyncio.sleep(begin + sent / self.rate - time.monotonic())

    async def _send(self, number: int) -> None:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(SILENCE):
                status, delivery = await _exchange(self.rng.choice(self.ports), self.request(number))
        except (OSError, EOFError):
            status, delivery = NO_ANSWER, ""
        self.longest = max(self.longest, time.monotonic() - begin)
        self.statuses[status] += 1
        if delivery:
            self.recorded.add(delivery)
        if 200 <= status < 300:
            self.acknowledged.add(number)
        elif not 400 <= status < 500:
            self._retries.append(number)


async def _exchange(port: int, request: bytes) -> tuple[int, str]:
    """Send a request; return the status of the response, and the id of the delivery that it names.

    Raises OSError, or EOFError if the connection is closed before the response is complete.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
    delivery = DELIVERY.search(head)
    return int(head[9:12]), delivery[1].decode() if delivery else ""
