"""The embedded default, end to end: uvicorn with two workers, an agent that nobody started by hand, a worker killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxl_audit.directory import DataDirectory
from pxl_audit.files import is_locked
from pxl_audit.vault.query import rows

APP = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from pxl_audit import AuditMiddleware

async def pid(request):
    return PlainTextResponse(str(os.getpid()))

app = AuditMiddleware(Starlette(routes=[Route("/pid/{n}", pid)]), service="web", directory=os.environ["AUDIT"])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, subprocess.Popen[bytes]]]:
    """A running service with two workers; its URL, data directory and process."""
    (tmp_path / "service.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = tmp_path / "audit"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "service:app",
        "--app-dir",
        str(tmp_path),
        "--port",
        str(port),
        "--workers",
        "2",
    ]
    with (tmp_path / "uvicorn.log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | {"AUDIT": str(data)}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(url))
    yield url, data, process
    process.terminate()
    process.wait(20)


def answers(url: str) -> bool:
    try:
        get(f"{url}/pid/0")
    except OSError:
        return False
    return True


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        body: bytes = response.read()
    return body.decode()


def wait_for(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_embedded_agent(server: tuple[str, Path, subprocess.Popen[bytes]]) -> None:
    """Every answered request is in one gap-free log, over both workers and a killed one; the agent ends by itself."""
    url, root, process = server
    answered: set[str] = set()
    workers = set()
    for n in range(60):
        workers.add(int(get(f"{url}/pid/a{n}")))
        answered.add(f"/pid/a{n}")
    victim = workers.pop()
    time.sleep(0.2)  # what was answered is durable within milliseconds; this test is about what was acknowledged
    os.kill(victim, signal.SIGKILL)
    for n in range(60):
        try:
            get(f"{url}/pid/b{n}")
        except OSError:
            continue
        answered.add(f"/pid/b{n}")
    data = DataDirectory.open(root)
    assert is_locked(data.agent_lock)
    process.terminate()
    process.wait(20)
    wait_for(lambda: not is_locked(data.agent_lock))
    records = list(rows(data, 0, 1 << 40))
    assert [row.index for row in records] == list(range(len(records)))
    paths = [json.loads(row.target.text)["url.path"] for row in records if row.target.text and row.service == "web"]
    assert answered <= set(paths)
    assert len(paths) == len(set(paths) - {"/pid/0"}) + paths.count("/pid/0")
    stops = [row.facts for row in records if row.event == "audit.writer.unclean_stop"]
    assert len(stops) == 1
    assert list(data.spool.iterdir()) == []
    assert data.agent_log.read_text().count("error") == 0
