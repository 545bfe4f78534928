"""The same conversations on real servers: uvicorn with both HTTP parsers, granian, hypercorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets

from pxl_audit.directory import DataDirectory
from pxl_audit.files import is_locked
from pxl_audit.vault.query import rows
from pxl_audit.vault.row import Row

SERVICE = """
import asyncio
import os

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from pxl_audit import AuditMiddleware


async def plain(request):
    return PlainTextResponse("x" * 100)


async def echo(request):
    return PlainTextResponse(str(len(await request.body())))


async def boom(request):
    raise RuntimeError("alice@example.org")


async def breaks(request):
    async def chunks():
        yield b"first"
        raise RuntimeError("alice@example.org")

    return StreamingResponse(chunks())


async def streams(request):
    async def chunks():
        for _ in range(200):
            yield b"y" * 1000
            await asyncio.sleep(0.05)

    return StreamingResponse(chunks())


async def background(request):
    return PlainTextResponse("ok", background=BackgroundTask(asyncio.sleep, 0.3))


async def file(request):
    return FileResponse(__file__)


async def talk(socket):
    await socket.accept()
    await socket.send_text((await socket.receive_text()) * 2)
    await socket.close(4002)


app = AuditMiddleware(
    Starlette(
        routes=[
            Route("/plain/{n}", plain, methods=["GET", "HEAD"]),
            Route("/echo", echo, methods=["POST"]),
            Route("/boom", boom),
            Route("/breaks", breaks),
            Route("/streams", streams),
            Route("/background", background),
            Route("/file", file),
            WebSocketRoute("/talk", talk),
        ]
    ),
    service="web",
    directory=os.environ["AUDIT"],
)
"""

SERVERS: dict[str, list[str]] = {
    "uvicorn-h11": ["uvicorn", "service:app", "--http", "h11", "--loop", "asyncio", "--port", "{port}"],
    "uvicorn-httptools": ["uvicorn", "service:app", "--http", "httptools", "--loop", "uvloop", "--port", "{port}"],
    "granian": ["granian", "--interface", "asgi", "service:app", "--port", "{port}"],
    "hypercorn": ["hypercorn", "service:app", "--bind", "127.0.0.1:{port}"],
}


@dataclass
class Served:
    """A running server, and its records once it has been stopped."""

    name: str
    port: int
    root: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> list[Row]:
        """Stop in order, wait for the agent to end, and return the service's records."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        data = DataDirectory.open(self.root)
        wait_for(lambda: not is_locked(data.agent_lock) and not any(data.spool.iterdir()))
        return [row for row in rows(data, 0, 1 << 40) if row.service == "web"]


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "service.py").write_text(SERVICE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [word.format(port=port) for word in SERVERS[request.param]]
    environ = os.environ | {"AUDIT": str(tmp_path / "audit"), "PYTHONPATH": str(tmp_path)}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", *words], env=environ, cwd=tmp_path, stdout=log, stderr=log)
    running = Served(request.param, port, tmp_path / "audit", process)
    try:
        wait_for(lambda: listens(port))
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def hang_up(port: int) -> None:
    """Ask for a long response, read a little of it, and go away."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /streams HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(2000)


def path_of(row: Row) -> str:
    path: str = json.loads(row.target.text or "{}")["url.path"]
    return path


def converse(server: Served) -> None:
    """One of each kind."""
    with httpx.Client(base_url=server.url, timeout=10) as client:
        assert client.get("/plain/1", headers={"x-request-id": "req-1"}).status_code == 200
        assert client.head("/plain/2").status_code == 200
        assert client.post("/echo", content=b"z" * 5000).text == "5000"
        assert client.get("/background").text == "ok"
        assert client.get("/file").status_code == 200
        assert client.get("/nowhere/alice").status_code == 404
        assert client.request("PUT", "/plain/3").status_code == 405
    # On connections of their own: servers close them after these, and a reused one may be closed under a request.
    assert httpx.get(f"{server.url}/boom").status_code == 500
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"{server.url}/breaks")
    hang_up(server.port)

    async def socket_talk() -> None:
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/talk") as connection:
            await connection.send("hello")
            assert await connection.recv() == "hellohello"
            await connection.wait_closed()

    asyncio.run(socket_talk())


@pytest.mark.slow
def test_conversations(served: Served) -> None:
    """Every exchange once, with the right ending, status, route and sizes, on each server."""
    converse(served)
    time.sleep(1.0)  # servers notice a client that hung up only when they write to it
    records = served.stop()
    found = {path_of(row): row for row in records if row.event == "http.request"}
    assert len(found) == len([row for row in records if row.event == "http.request"])
    facts = {path: (row.status, row.ending, row.route) for path, row in found.items() if path != "/streams"}
    assert facts == {
        "/plain/1": (200, "complete", "/plain/{n}"),
        "/plain/2": (200, "complete", "/plain/{n}"),
        "/plain/3": (405, "complete", "/plain/{n}"),
        "/echo": (200, "complete", "/echo"),
        "/boom": (500, "complete", "/boom"),
        "/breaks": (200, "incomplete", "/breaks"),
        "/background": (200, "complete", "/background"),
        "/file": (200, "complete", "/file"),
        "/nowhere/alice": (404, "complete", None),
    }
    assert found["/boom"].error_type == "RuntimeError"
    background = found["/background"]
    assert background.duration_us is not None
    assert background.application_us is not None
    assert background.application_us - background.duration_us > 250_000
    assert found["/streams"].ending in ("disconnect", "cancelled", "incomplete", "complete")
    assert "req-1" in (found["/plain/1"].actor.text or "")
    sockets = {row.event: row for row in records if row.event.startswith("websocket.")}
    assert sockets["websocket.open"].status == 101
    assert sockets["websocket.close"].facts == {
        "closed_by": "server",
        "code": 4002,
        "messages_in": 1,
        "messages_out": 1,
    }
    assert (sockets["websocket.close"].request_bytes, sockets["websocket.close"].response_bytes) == (5, 10)
