"""Makes the requests over real connections, with bounded concurrency, and remembers what became of each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.demo.workload import Ask

if TYPE_CHECKING:
    import httpx

CONCURRENCY = 24
TIMEOUT_SECONDS = 30.0
HANG_UP_AFTER_SECONDS = 0.3
SLOW_AT_THE_KILL = 8
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What a request got. `status` None: no response; then `problem` says how that was seen from here."""

    ask: Ask
    status: int | None
    problem: str | None = None
    wrong_answer: bool = False
    """A proof was answered with the wrong verdict."""


@dataclass
class Drive:
    """All requests that were made."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def answered(self) -> list[Outcome]:
        """Those that got a response."""
        return [outcome for outcome in self.outcomes if outcome.status is not None]

    @property
    def unanswered(self) -> list[Outcome]:
        """Those that got none: they hung up, or their worker was killed."""
        return [outcome for outcome in self.outcomes if outcome.status is None]

    def surprises(self) -> Iterator[str]:
        """Requests that got another answer than they must get."""
        for outcome in self.answered:
            if outcome.status != outcome.ask.status:
                yield f"{outcome.ask.kind}: status {outcome.status} instead of {outcome.ask.status}"
            elif outcome.wrong_answer:
                yield f"{outcome.ask.kind}: a wrong verdict"


class Driver:
    """`host`, `port` of the gateway; `done` is told how many requests are over."""

    def __init__(self, host: str, port: int, done: Callable[[int], None]) -> None:
        self._host, self._port, self._done = host, port, done
        self._drive = Drive()
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def run(self, asks: list[Ask], slow: list[Ask], in_the_middle: Callable[[], None]) -> Drive:
        """Make all requests; `in_the_middle` is called once, while half of them and the `slow` ones are under way."""
        async with AsyncExitStack() as stack:
            for ask in (*asks, *slow):
                if ask.person.address not in self._clients:
                    client = self._client(ask.person.address)
                    self._clients[ask.person.address] = await stack.enter_async_context(client)
            half = len(asks) // 2
            first, second = iter(asks[:half]), iter(asks[half:])
            await self._many(first)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._many(second))
                for ask in slow:
                    group.create_task(self._make(ask))
                await asyncio.sleep(SETTLE_SECONDS)  # the slow ones are with the core now
                in_the_middle()
        return self._drive

    def _client(self, address: str) -> httpx.AsyncClient:
        import httpx  # an optional part  # noqa: PLC0415

        return httpx.AsyncClient(
            base_url=f"http://{self._host}:{self._port}",
            timeout=TIMEOUT_SECONDS,
            transport=httpx.AsyncHTTPTransport(local_address=address),
        )

    async def _many(self, asks: Iterable[Ask]) -> None:
        shared = iter(asks)

        async def take() -> None:
            for ask in shared:
                await self._make(ask)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(take())

    async def _make(self, ask: Ask) -> None:
        outcome = await (self._hang_up(ask) if ask.hang_up else self._exchange(ask))
        self._drive.outcomes.append(outcome)
        self._done(len(self._drive.outcomes))

    async def _exchange(self, ask: Ask) -> Outcome:
        import httpx  # an optional part  # noqa: PLC0415

        try:
            response = await self._clients[ask.person.address].request(
                ask.method, ask.path, headers=ask.headers, content=ask.body
            )
        except httpx.TransportError as error:
            return Outcome(ask, None, type(error).__name__)
        wrong = ask.provable is not None and response.json().get("provable") is not ask.provable
        return Outcome(ask, response.status_code, wrong_answer=response.status_code == 200 and wrong)

    async def _hang_up(self, ask: Ask) -> Outcome:
        """Send the request, or a part of it, and close the connection without having read anything."""
        try:
            _, writer = await asyncio.open_connection(self._host, self._port, local_addr=(ask.person.address, 0))
        except OSError as error:
            return Outcome(ask, None, type(error).__name__)
        sent = ask.body[: len(ask.body) // 2] if ask.hang_up == "in the body" else ask.body
        with contextlib.suppress(OSError):  # whatever goes wrong here, nobody is there to be told
            writer.write(_head(ask, self._host) + sent)
            await writer.drain()
            await asyncio.sleep(HANG_UP_AFTER_SECONDS)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return Outcome(ask, None, f"hung up {ask.hang_up}")


def _head(ask: Ask, host: str) -> bytes:
    fields: Mapping[str, str] = {"Host": host, "Content-Length": str(len(ask.body)), **ask.headers}
    lines = [f"{ask.method} {ask.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")
