"""What a service pays for `import pxl_audit`: the standard library, msgspec, and the capture path; no thread."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

CAPTURE_PATH = frozenset(
    {
        "pxl_audit",
        "pxl_audit.actor",
        "pxl_audit.agent",
        "pxl_audit.agent.spawn",
        "pxl_audit.asgi_types",
        "pxl_audit.capture",
        "pxl_audit.directory",
        "pxl_audit.errors",
        "pxl_audit.event",
        "pxl_audit.exchange",
        "pxl_audit.files",
        "pxl_audit.middleware",
        "pxl_audit.record",
        "pxl_audit.recorder",
        "pxl_audit.request_ids",
        "pxl_audit.routes",
        "pxl_audit.spans",
        "pxl_audit.spool",
        "pxl_audit.spool.frames",
        "pxl_audit.spool.state",
        "pxl_audit.spool.writer",
        "pxl_audit.websocket",
    }
)
"""Our own modules that every service process loads. A new one is a decision, made here."""

_PROGRAM = """
import json, sys, threading
import msgspec
before = set(sys.modules)
{statement}
children = open("/proc/thread-self/children").read().split()
print(json.dumps([sorted(set(sys.modules) - before), [t.name for t in threading.enumerate()], children]))
"""


@dataclass(frozen=True)
class _Loaded:
    modules: list[str]
    """Loaded by the statement, beyond what `import msgspec` loads."""
    threads: list[str]
    children: list[str]


def _after(statement: str) -> _Loaded:
    program = _PROGRAM.format(statement=statement)
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return _Loaded(*json.loads(done.stdout))


@pytest.mark.parametrize("statement", ["import pxl_audit", "from pxl_audit import AuditMiddleware, record"])
def test_import_is_light(statement: str) -> None:
    loaded = _after(statement)
    ours = {name for name in loaded.modules if name.partition(".")[0] == "pxl_audit"}
    others = {name.partition(".")[0] for name in loaded.modules} - {"pxl_audit"}
    assert others - sys.stdlib_module_names == set()
    assert ours == CAPTURE_PATH


def test_import_starts_nothing() -> None:
    loaded = _after(
        "from pxl_audit import AuditMiddleware; AuditMiddleware(None, service='web', directory='never-made')"
    )
    assert loaded.threads == ["MainThread"]
    assert loaded.children == []


def test_the_check_sees_what_is_heavy() -> None:
    assert "starlette" in {name.partition(".")[0] for name in _after("import starlette.applications").modules}
