"""The gateway in front of the real core, both over ASGI: who may do what, and what goes on to the core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from starlette.applications import Starlette

from examples import gateway, pxl_core
from pxl_audit import AuditMiddleware
from pxl_audit.asgi_types import ASGIApp
from tests.builders import drained

Result = TypeVar("Result")
KEY = "shared"
MAYA = {"Authorization": "Bearer demo-token-01"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PROOF = json.dumps({"sequent": "p -> q, p |- q"}).encode()


class Spy(httpx.AsyncBaseTransport):
    """Passes requests on to the core, and keeps their headers and bodies."""

    def __init__(self, core: Starlette) -> None:
        self.requests: list[httpx.Request] = []
        self._transport = httpx.ASGITransport(core, raise_app_exceptions=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return await self._transport.handle_async_request(request)


class Broken(httpx.AsyncBaseTransport):
    def __init__(self, error: type[httpx.TransportError]) -> None:
        self._error = error

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise self._error("broken on purpose")


def built(transport: httpx.AsyncBaseTransport) -> Starlette:
    core = httpx.AsyncClient(base_url="http://core", transport=transport)
    return gateway.create_app(gateway.Users.built_in(), core, KEY)


def run(
    talk: Callable[[httpx.AsyncClient], Awaitable[Result]],
    transport: httpx.AsyncBaseTransport | None = None,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> Result:
    """Run `talk` with a client of the gateway; the core answers unless `transport` is another."""

    async def inside() -> Result:
        core = pxl_core.create_app(pxl_core.Limits(), KEY)
        app = built(transport or Spy(core))
        client_side = httpx.ASGITransport(around(app), raise_app_exceptions=False)
        async with (
            core.router.lifespan_context(core),
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=client_side, base_url="http://gateway") as client,
        ):
            return await talk(client)

    return asyncio.run(inside())


def get(path: str, headers: dict[str, str]) -> httpx.Response:
    return run(lambda client: client.get(path, headers=headers))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/health", {}, 200),
        ("/v1/users/user-01", MAYA, 200),
        ("/v1/users/user-02", MAYA, 403),
        ("/v1/users/user-99", MAYA, 404),
        ("/v1/users/user-01", {}, 401),
        ("/v1/users/user-01", {"Authorization": "Bearer demo-token-99"}, 401),
        ("/v1/users/user-01", {"Authorization": "Basic demo-token-01"}, 401),
        ("/v1/users/user-01", {"Authorization": "bearer  demo-token-01"}, 200),
        ("/v1/nothing", MAYA, 404),
        ("/v1/proofs", MAYA, 405),
    ],
)
def test_who_may_see_what(path: str, headers: dict[str, str], status: int) -> None:
    response = get(path, headers)
    assert response.status_code == status
    assert ("WWW-Authenticate" in response.headers) is (status == 401)


def test_own_profile() -> None:
    assert get("/v1/users/user-01", MAYA).json() == {"id": "user-01", "name": "Demo user 1", "roles": ["prover"]}


def test_a_proof_is_forwarded_and_answered() -> None:
    response = run(lambda client: client.post("/v1/proofs", content=PROOF, headers=MAYA))
    assert (response.status_code, response.json()["provable"]) == (200, True)


def test_the_cores_refusal_comes_back_as_it_is() -> None:
    response = run(lambda client: client.post("/v1/proofs", content=b"{", headers=MAYA))
    assert (response.status_code, response.json()["error"]) == (400, "bad_json")


def test_nothing_is_forwarded_without_a_token() -> None:
    spy = Spy(pxl_core.create_app(pxl_core.Limits(), KEY))
    assert run(lambda client: client.post("/v1/proofs", content=PROOF), spy).status_code == 401
    assert spy.requests == []


def forwarded(headers: dict[str, str]) -> httpx.Headers:
    core = pxl_core.create_app(pxl_core.Limits(), KEY)
    spy = Spy(core)

    async def talk(client: httpx.AsyncClient) -> None:
        async with core.router.lifespan_context(core):
            await client.post("/v1/proofs", content=PROOF, headers=MAYA | headers)

    run(talk, spy)
    [request] = spy.requests
    return request.headers


def test_identifiers_go_on_to_the_core() -> None:
    sent = forwarded({"X-Request-ID": "r-1", "traceparent": TRACE, "User-Agent": "cli/1"})
    assert sent["traceparent"] == TRACE
    assert sent["user-agent"] == "cli/1"
    assert sent["x-pxl-user"] == "user-01"
    assert sent["authorization"] == f"Bearer {KEY}"


def test_identifiers_are_made_where_none_came() -> None:
    sent = forwarded({"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"})
    assert gateway._TRACEPARENT.fullmatch(sent["traceparent"])
    assert len(sent["x-request-id"]) == 32


def test_a_user_cannot_pass_as_another_at_the_core() -> None:
    assert forwarded({"X-PXL-User": "user-02"})["x-pxl-user"] == "user-01"


@pytest.mark.parametrize(
    ("error", "status"), [(httpx.ConnectError, 502), (httpx.ReadError, 502), (httpx.ReadTimeout, 504)]
)
def test_a_core_that_does_not_answer(error: type[httpx.TransportError], status: int) -> None:
    response = run(lambda client: client.post("/v1/proofs", content=PROOF, headers=MAYA), Broken(error))
    assert response.status_code == status


def test_a_long_body_is_streamed() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"sequent": "p |- p"'
        for _ in range(90):
            yield b" " * 100_000
        yield b"}"

    response = run(lambda client: client.post("/v1/proofs", content=chunks(), headers=MAYA))
    assert (response.status_code, response.json()["provable"]) == (200, True)


def test_the_record_names_user_route_and_request(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def audited(app: ASGIApp) -> ASGIApp:
        return AuditMiddleware(app, service="gateway", directory=data, embedded_agent=False)

    async def talk(client: httpx.AsyncClient) -> None:
        await client.get("/v1/users/user-02", headers=MAYA | {"X-Request-ID": "r-1"})
        answer = await client.post("/v1/proofs", content=PROOF, headers=MAYA)
        made.append(answer.headers["X-Request-ID"])

    made: list[str] = []
    run(talk, around=audited)
    profile, proof = drained(data)
    assert (profile.status, profile.route, profile.actor_kind) == (403, "/v1/users/{user_id}", "user")
    members = json.loads(profile.actor.text or "")
    assert (members["user.id"], members["pxl.request.id"]) == ("user-01", "r-1")
    assert members["user.roles"] == ["authenticated", "prover"]
    # The id that was made for a request without one is the same in the record and in the answer.
    assert json.loads(proof.actor.text or "")["pxl.request.id"] == made[0]


def test_tokens_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"t1": {"id": "maya", "roles": ["a"]}, "t2": {"id": "may", "name": "May"}}))
    users = gateway.Users.from_file(path)
    assert users.of_token("t1") == gateway.User("maya", "maya", ("a",))
    assert users.of_id("may") == users.of_token("t2")
    assert users.of_token("t3") is None
