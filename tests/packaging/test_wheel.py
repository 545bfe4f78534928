"""The wheel holds the three packages and nothing else, and works where nothing but its dependencies is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from pxl_audit.directory import DataDirectory
from tests.packaging.tree import PACKAGES, ROOT
from tests.real.require import missing

pytestmark = pytest.mark.slow

FROM_EXAMPLES = {"reports/demo/services/gateway.py", "reports/demo/services/pxl_core.py"}
NO_INDEX = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError|ReadTimeout")

SERVICE = """
import asyncio
from pxl_audit import AuditMiddleware

async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def main():
    audited = AuditMiddleware(app, service="wheel", directory="audit")
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/hello",
             "raw_path": b"/hello", "query_string": b"", "root_path": "", "scheme": "http", "headers": [],
             "client": ("192.0.2.1", 4000), "server": ("127.0.0.1", 80)}
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        print(message["type"])
    await audited(scope, receive, send)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = out.glob("*.whl")
    return built


def test_it_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours == expected | FROM_EXAMPLES
    assert {name.partition("/")[0] for name in ours} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= ours
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel and what it depends on, no extras."""
    venv = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if NO_INDEX.search(done.stderr):
        missing("a package index, to install the wheel's dependencies from")
    assert done.returncode == 0, done.stderr[-2000:]
    return venv / "bin"


def test_it_needs_no_extra_for_its_help(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "pxl-audit", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "verify" in done.stdout
    assert "demo" in done.stdout


def test_a_request_is_recorded_and_verified_from_there(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    done = subprocess.run(
        [installed / "python", "-I", "service.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["http.response.start", "http.response.body"]
    # The embedded agent goes on after the service has ended: its first record is the log's, the second the request's.
    deadline = time.monotonic() + 30
    while True:
        done = subprocess.run(
            [installed / "pxl-audit", "verify", "audit", "--json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if (done.returncode == 0 and json.loads(done.stdout)["size"] >= 2) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["size"] == 2


def test_a_command_that_needs_an_extra_names_it(installed: Path, tmp_path: Path) -> None:
    DataDirectory.open_or_create(tmp_path / "audit")
    words = ["report", "build", "--framework", "gdpr", "--period", "2026-Q4", "--data", "audit", "--out", "pack"]
    done = subprocess.run(
        [installed / "pxl-audit", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "pxl-audit[reports]" in done.stderr
