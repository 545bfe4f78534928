"""The proof engine: decides sequents of classical propositional logic, through a bounded queue.

Run it:    python -m uvicorn --app-dir examples pxl_core:app --port 8080
Ask it:    curl -s localhost:8080/v1/proofs -d '{"sequent": "p -> q, p |- q"}'
Look at:   the last lines of this file, which are all that auditing takes; then `pxl-audit verify var/core`.

A sequent is `premises |- conclusions`, both separated by commas, either side may be empty; it holds if every valuation
that makes all premises true makes a conclusion true. Connectives, tightest first: ~ & | -> <-> (`->` to the right).

Answers of `POST /v1/proofs`: 200 decided; 400 no JSON object with a text `sequent`; 413 more than 10 MiB; 422 the
sequent cannot be read (with the position, counted from 1) or needs more steps than allowed; 503 the queue is full.

Environment: PXL_AUDIT_DATA (data directory), PXL_CORE_KEY (who presents it as bearer token may say with `X-PXL-User`
for whom it asks; without a key nobody may), PXL_CORE_QUEUE, PXL_CORE_WORKERS, PXL_CORE_STEPS, and, for demonstrations
only, PXL_CORE_FAULTS=1: `"fault": "crash"` raises, `"fault": "slow"` takes 1.2 s longer.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pxl_audit import AuditMiddleware

MAX_BODY_BYTES = 10 * 1024 * 1024
SLOW_SECONDS = 1.2


class SequentError(ValueError):
    """The sequent cannot be read; `position` is the character, counted from 1."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class StepsExceededError(Exception):
    """Deciding would take more steps than allowed."""


@dataclass
class Budget:
    """Counts steps (a token read, a formula looked at), and so bounds time and memory of one request."""

    allowed: int
    used: int = 0

    def spend(self) -> None:
        """Count one step. Raises `StepsExceededError`."""
        self.used += 1
        if self.used > self.allowed:
            raise StepsExceededError


class Node(NamedTuple):
    """A formula: an atom (`op` empty, `name` set) or a connective over formulas, given by number."""

    op: str
    name: str
    left: int
    right: int


class Sequent(NamedTuple):
    """`premises |- conclusions`, as numbers into `nodes`, where equal formulas have equal numbers."""

    nodes: list[Node]
    premises: list[int]
    conclusions: list[int]


_TOKEN = re.compile(r"\s*(?:(<->|->|\|-|[~&|(),]|[A-Za-z][A-Za-z0-9_]*)|(\S)|$)")
_BINDS = {"(": 0, "<->": 1, "->": 2, "|": 3, "&": 4, "~": 5}


class Reader:
    """Reads `premises |- conclusions` by two stacks: no recursion, so that nesting cannot exhaust the interpreter."""

    def __init__(self, text: str, budget: Budget) -> None:
        self.text, self.budget = text, budget
        self.numbers: dict[Node, int] = {}
        self.operands: list[int] = []
        self.operators: list[tuple[str, int]] = []
        self.sides: list[list[int]] = [[]]

    def read(self) -> Sequent:
        """The sequent. Raises `SequentError` and `StepsExceededError`."""
        at, step = 0, self._start
        while True:
            token, position, at = self._next(at)
            step = self._start if step(token, position) else self._continue
            if not token:
                if len(self.sides) == 1:
                    raise SequentError("a sequent needs a turnstile: premises |- conclusions", position)
                return Sequent(list(self.numbers), *self.sides)

    def _next(self, at: int) -> tuple[str, int, int]:
        """The next token (empty at the end), its position, and where to go on."""
        self.budget.spend()
        match = _TOKEN.match(self.text, at)
        if match is None or match.lastindex is None:
            return "", len(self.text) + 1, len(self.text)
        position = match.start(match.lastindex) + 1
        if match.lastindex == 2:
            raise SequentError(f"a character that is no part of a formula: {match.group(2)!r}", position)
        return match.group(1), position, match.end()

    def _start(self, token: str, position: int) -> bool:
        """Take a token where a formula begins. True: a formula must still come."""
        if token.isidentifier():
            self._push(Node("", token, -1, -1))
            return False
        if token in ("~", "("):
            self.operators.append((token, position))
            return True
        if token in ("|-", "") and not self.sides[-1] and not self.operators:  # an empty side
            return self._end_side(token, position)
        raise SequentError(f"a formula must stand here, not {token or 'the end':.40}", position)

    def _continue(self, token: str, position: int) -> bool:
        """Take a token behind a formula. True: a formula must come next."""
        if token.isidentifier() or token in ("~", "("):
            raise SequentError(f"a connective must stand before {token:.40}", position)
        if token in _BINDS:
            self._reduce(_BINDS[token] + (1 if token == "->" else 0))
            self.operators.append((token, position))
            return True
        self._reduce(1)
        if token == ")":
            if not self.operators:
                raise SequentError("a closing parenthesis that nothing opened", position)
            self.operators.pop()
            return False
        if self.operators:
            raise SequentError("a parenthesis that nothing closes", self.operators[-1][1])
        self.sides[-1].append(self.operands.pop())
        return self._end_side(token, position)

    def _reduce(self, binds_at_least: int) -> None:
        while self.operators and _BINDS[self.operators[-1][0]] >= binds_at_least:
            op = self.operators.pop()[0]
            right = self.operands.pop()
            left = right if op == "~" else self.operands.pop()
            self._push(Node(op, "", left, right))

    def _push(self, node: Node) -> None:
        self.operands.append(self.numbers.setdefault(node, len(self.numbers)))

    def _end_side(self, token: str, position: int) -> bool:
        if token == "|-":
            if len(self.sides) == 2:
                raise SequentError("a second turnstile", position)
            self.sides.append([])
        return True


Signed = tuple[int, bool]
Choice = tuple[tuple[Signed, ...], ...]


def options(node: Node, truth: bool) -> Choice:  # noqa: FBT001  # the sign is the value, not a switch
    """The ways to give `node` this truth value; each way is a set of signed formulas that must hold together."""
    left, right = node.left, node.right
    match node.op:
        case "":
            return ((),)
        case "~":
            return (((left, not truth),),)
        case "<->":
            return (((left, True), (right, truth)), ((left, False), (right, not truth)))
        case "->":
            first, second = (left, not truth), (right, truth)
        case _:
            first, second = (left, truth), (right, truth)
    joint = truth if node.op == "&" else not truth
    return ((first, second),) if joint else ((first,), (second,))


class Tableau:
    """Analytic tableau with unit propagation: complete for classical propositional logic."""

    def __init__(self, sequent: Sequent, budget: Budget) -> None:
        self.sequent, self.budget = sequent, budget
        self.values: dict[int, bool] = {}
        self.trail: list[int] = []

    def countermodel(self) -> dict[str, bool] | None:
        """Premises true, conclusions false; None if every branch closes: provable. Raises `StepsExceededError`."""
        goals = [(number, True) for number in self.sequent.premises]
        goals += [(number, False) for number in self.sequent.conclusions]
        branches: list[tuple[int, list[Choice], list[Signed] | None]] = [(0, [], goals)]
        while branches:
            mark, choices, todo = branches.pop()
            while len(self.trail) > mark:
                del self.values[self.trail.pop()]
            while todo is not None and self._assume(todo, choices):
                todo = self._narrow(choices)
                if todo == []:
                    if not choices:
                        nodes = enumerate(self.sequent.nodes)
                        return {node.name: self.values.get(n, False) for n, node in nodes if not node.op}
                    first, second = choices.pop()
                    other = [*second, (first[0][0], not first[0][1])] if len(first) == 1 else list(second)
                    branches.append((len(self.trail), list(choices), other))
                    todo = list(first)
        return None

    def _assume(self, todo: list[Signed], choices: list[Choice]) -> bool:
        """Take over everything that must hold; False when it contradicts itself."""
        while todo:
            number, truth = todo.pop()
            self.budget.spend()
            known = self.values.get(number)
            if known is not None:
                if known is not truth:
                    return False
                continue
            self.values[number] = truth
            self.trail.append(number)
            ways = options(self.sequent.nodes[number], truth)
            if len(ways) == 1:
                todo.extend(ways[0])
            else:
                choices.append(ways)
        return True

    def _narrow(self, choices: list[Choice]) -> list[Signed] | None:
        """Drop choices that are met; what is left without a choice comes back. None: one has no way left."""
        forced: list[Signed] = []
        undecided = []
        for ways in choices:
            self.budget.spend()
            live = [way for way in ways if all(self.values.get(n, truth) is truth for n, truth in way)]
            if not live:
                return None
            if any(all(n in self.values for n, _ in way) for way in live):
                continue
            if len(live) == 1:
                forced.extend(live[0])
            else:
                undecided.append(ways)
        choices[:] = undecided
        return forced


@dataclass(frozen=True)
class Limits:
    """What the engine allows itself."""

    queue_length: int = 64
    workers: int = 4
    steps: int = 500_000
    faults: bool = False

    @classmethod
    def from_environment(cls) -> Limits:
        """What PXL_CORE_* say, else the defaults."""
        env = os.environ
        queue, workers = int(env.get("PXL_CORE_QUEUE", 64)), int(env.get("PXL_CORE_WORKERS", 4))
        return cls(queue, workers, int(env.get("PXL_CORE_STEPS", 500_000)), env.get("PXL_CORE_FAULTS") == "1")


Answer = tuple[int, dict[str, object]]  # status and body of a response


def answer(raw: bytes, limits: Limits) -> Answer:
    """Decide the sequent in the JSON text `raw`."""
    try:
        asked = json.loads(raw)
    except (ValueError, RecursionError):
        return 400, {"error": "bad_json", "message": "the body is not JSON in UTF-8"}
    sequent = asked.get("sequent") if isinstance(asked, dict) else None
    if not isinstance(sequent, str):
        return 400, {"error": "no_sequent", "message": 'expected an object like {"sequent": "p, p -> q |- q"}'}
    match asked.get("fault") if limits.faults else None:
        case "crash":
            raise RuntimeError("a fault that was asked for")
        case "slow":
            time.sleep(SLOW_SECONDS)
    budget = Budget(limits.steps)
    try:
        countermodel = Tableau(Reader(sequent, budget).read(), budget).countermodel()
    except SequentError as error:
        return 422, {"error": "unparsable_sequent", "message": str(error), "position": error.position}
    except StepsExceededError:
        return 422, {"error": "too_many_steps", "message": "more steps than allowed", "steps": limits.steps}
    return 200, {"provable": countermodel is None, "countermodel": countermodel, "steps": budget.used}


class Engine:
    """A bounded queue and the workers that empty it. The event loop only waits; threads compute."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queue: asyncio.Queue[tuple[bytes, asyncio.Future[Answer]]] = asyncio.Queue(limits.queue_length)

    @asynccontextmanager
    async def running(self, _app: Starlette) -> AsyncIterator[None]:
        """Lifespan of the application: workers run inside."""
        with ThreadPoolExecutor(self.limits.workers, "proof") as threads:
            workers = [asyncio.create_task(self._work(threads)) for _ in range(self.limits.workers)]
            try:
                yield
            finally:
                for worker in workers:
                    worker.cancel()

    async def decide(self, raw: bytes) -> Answer:
        """Queue a request and wait for its answer. Raises `asyncio.QueueFull`, and whatever the proof raised."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((raw, waiting))
        return await waiting

    async def _work(self, threads: ThreadPoolExecutor) -> None:
        while True:
            raw, waiting = await self.queue.get()
            if waiting.done():  # whoever asked has given up
                continue
            job = asyncio.get_running_loop().run_in_executor(threads, answer, raw, self.limits)
            await asyncio.wait([job])
            if not waiting.done():
                error = job.exception()
                waiting.set_exception(error) if error else waiting.set_result(job.result())

    async def prove(self, request: Request) -> JSONResponse:
        """`POST /v1/proofs`."""
        raw = await _body(request)
        if raw is None:
            return JSONResponse({"error": "too_large", "message": f"the limit is {MAX_BODY_BYTES} bytes"}, 413)
        try:
            status, body = await self.decide(raw)
        except asyncio.QueueFull:
            return JSONResponse({"error": "busy", "message": "the queue is full"}, 503, {"Retry-After": "1"})
        return JSONResponse(body, status)

    async def health(self, _request: Request) -> JSONResponse:
        """`GET /healthz`."""
        return JSONResponse({"status": "ok", "queue_length": self.queue.qsize()})


async def _body(request: Request) -> bytes | None:
    """The body, or None when it is larger than allowed; announced sizes are refused before anything is read."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


class GatewayTrust(AuthenticationBackend):
    """Believes `X-PXL-User` from whoever presents the key; the record then names the user, not the gateway."""

    def __init__(self, key: str) -> None:
        self.expected = f"Bearer {key}".encode() if key else b""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """The user for whom the gateway asks; None (anonymous) without key or user."""
        presented = conn.headers.get("authorization", "").encode()
        user = conn.headers.get("x-pxl-user")
        if not user or not self.expected or not hmac.compare_digest(presented, self.expected):
            return None
        return AuthCredentials(["authenticated"]), SimpleUser(user)


def create_app(limits: Limits, key: str = "") -> Starlette:
    """The application without auditing."""
    engine = Engine(limits)
    return Starlette(
        routes=[Route("/v1/proofs", engine.prove, methods=["POST"]), Route("/healthz", engine.health)],
        middleware=[Middleware(AuthenticationMiddleware, backend=GatewayTrust(key))],
        lifespan=engine.running,
    )


app = AuditMiddleware(
    create_app(Limits.from_environment(), os.environ.get("PXL_CORE_KEY", "")),
    service="pxl_core",
    directory=os.environ.get("PXL_AUDIT_DATA", "var/core"),
)
