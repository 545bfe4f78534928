"""The proof service over ASGI: statuses, limits, the queue, and for whom it believes to work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from starlette.applications import Starlette

from examples.pxl_core import MAX_BODY_BYTES, Limits, create_app
from tests.builders import exchange, http_scope, record_exchanges

Result = TypeVar("Result")


def run(app: Starlette, talk: Callable[[httpx.AsyncClient], Awaitable[Result]]) -> Result:
    """Run `talk` with a client of the application, inside of its lifespan."""

    async def inside() -> Result:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://c") as client,
        ):
            return await talk(client)

    return asyncio.run(inside())


def post(content: bytes | AsyncIterator[bytes], limits: Limits | None = None) -> httpx.Response:
    return run(create_app(limits or Limits()), lambda client: client.post("/v1/proofs", content=content))


def sequent(text: str, **more: str) -> bytes:
    return json.dumps({"sequent": text, **more}).encode()


def test_proves() -> None:
    response = post(sequent("p -> q, p |- q"))
    answer = response.json()
    assert (response.status_code, answer["provable"], answer["countermodel"]) == (200, True, None)
    assert answer["steps"] > 0


def test_refutes_with_a_countermodel() -> None:
    assert post(sequent("p | q |- p")).json()["countermodel"] == {"p": False, "q": True}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"sequent": 1}', b"\xff\xfe\xfd", b"[" * 100_000],
    ids=lambda raw: raw[:8].hex(),
)
def test_what_is_no_request_gets_400(content: bytes) -> None:
    assert post(content).status_code == 400


def test_what_is_no_sequent_gets_422_with_its_position() -> None:
    response = post(sequent("p & |- q"))
    assert (response.status_code, response.json()["error"]) == (422, "unparsable_sequent")
    assert response.json()["position"] == 5


def test_too_many_steps_get_422() -> None:
    response = post(sequent("p & q & r |- p"), Limits(steps=5))
    assert (response.status_code, response.json()["error"]) == (422, "too_many_steps")


def test_ten_megabytes_are_decided() -> None:
    atom = "a" * 4_999_980
    raw = sequent(f"{atom} |- {atom}")
    assert 9_999_000 < len(raw) <= 10_000_000
    assert post(raw).json()["provable"] is True


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100_000):
        yield b" " * 100_000


def test_eleven_megabytes_are_refused() -> None:
    assert post(b" " * 11_000_000).status_code == 413


def test_eleven_megabytes_are_refused_without_an_announced_length() -> None:
    assert post(chunks(11_000_000)).status_code == 413


def test_an_announced_length_is_refused_before_the_body_is_read() -> None:
    async def talk() -> int:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            raise AssertionError("the body was read")

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            sent.append(message)

        headers = [(b"content-length", str(MAX_BODY_BYTES + 1).encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/proofs", "query_string": b"", "headers": headers}
        await create_app(Limits())(scope, receive, send)
        status = sent[0]["status"]
        assert isinstance(status, int)
        return status

    assert asyncio.run(talk()) == 413


def test_a_full_queue_gets_503_and_what_waits_is_answered() -> None:
    slow = sequent("p |- p", fault="slow")

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(client.post("/v1/proofs", content=slow) for _ in range(5)))

    responses = run(create_app(Limits(queue_length=1, workers=1, faults=True)), talk)
    refused = [response for response in responses if response.status_code == 503]
    answered = [response for response in responses if response.status_code == 200]
    assert len(refused) + len(answered) == 5
    assert answered
    assert refused
    assert all(response.headers["Retry-After"] == "1" for response in refused)


def test_proofs_do_not_block_the_event_loop() -> None:
    async def talk(client: httpx.AsyncClient) -> list[str]:
        finished: list[str] = []

        async def ask(name: str, request: Awaitable[httpx.Response]) -> None:
            await request
            finished.append(name)

        slow = client.post("/v1/proofs", content=sequent("p |- p", fault="slow"))
        await asyncio.gather(ask("slow", slow), ask("health", client.get("/healthz")))
        return finished

    assert run(create_app(Limits(faults=True)), talk) == ["health", "slow"]


def test_a_crash_is_a_500_and_the_workers_go_on() -> None:
    async def talk(client: httpx.AsyncClient) -> list[int]:
        raws = [sequent("p |- p", fault="crash")] * 3 + [sequent("p |- p")]
        return [(await client.post("/v1/proofs", content=raw)).status_code for raw in raws]

    assert run(create_app(Limits(workers=1, faults=True)), talk) == [500, 500, 500, 200]


def test_faults_are_ignored_unless_allowed() -> None:
    assert post(sequent("p |- p", fault="crash")).status_code == 200


def test_health() -> None:
    assert run(create_app(Limits()), lambda client: client.get("/healthz")).json() == {
        "status": "ok",
        "queue_length": 0,
    }


@pytest.mark.parametrize(
    ("key", "headers", "user"),
    [
        ("k", {"Authorization": "Bearer k", "X-PXL-User": "maya"}, "maya"),
        ("k", {"Authorization": "Bearer wrong", "X-PXL-User": "maya"}, None),
        ("k", {"X-PXL-User": "maya"}, None),
        ("k", {"Authorization": "Bearer k"}, None),
        ("", {"Authorization": "Bearer ", "X-PXL-User": "maya"}, None),
        ("", {"X-PXL-User": "maya"}, None),
    ],
)
def test_believes_for_whom_only_with_the_key(
    tmp_path: Path, key: str, headers: dict[str, str], user: str | None
) -> None:
    scope = http_scope("/healthz", headers=[(k.lower().encode(), v.encode()) for k, v in headers.items()])
    [row] = record_exchanges(tmp_path / "data", [lambda app: exchange(app, scope)], create_app(Limits(), key))
    assert row.actor.text is not None
    assert json.loads(row.actor.text).get("user.id") == user
    assert row.actor_kind == ("user" if user else "anonymous")
