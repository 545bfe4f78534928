"""An erasure from the command line, with a running agent and a real Elasticsearch: gone here, and gone there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pxl_audit.directory import DataDirectory
from pxl_audit.vault.query import published_size
from pxl_audit.verify import verify_directory
from tests.builders import fill
from tests.real.elasticsearch_server import ElasticsearchServer
from tests.real.shipping import AgentProcess, documents, environ_for

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

CANARY = "dora-7f3c91"


class Dsr:
    """`pxl-audit dsr …` as a person runs it."""

    def __init__(self, data: DataDirectory, server: ElasticsearchServer) -> None:
        self._data = data
        self._environ = os.environ | environ_for(server)

    def __call__(self, *words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "pxl_audit.cli.main", "dsr", *words, "--data", str(self._data.root), "--json"]
        run = subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stderr
        assert CANARY not in run.stdout + run.stderr
        answer: dict[str, Any] = msgspec.json.decode(run.stdout)
        return answer


def _files_with(root: Path, words: bytes) -> list[str]:
    return [str(path) for path in root.rglob("*") if path.is_file() and words in path.read_bytes()]


def test_erased_here_and_there(elasticsearch_server: ElasticsearchServer, tmp_path: Path) -> None:
    """Every record of the log is a document, before and after; the person's values are in neither any more."""
    data = fill(tmp_path / "audit", 60, lambda i: CANARY if i % 5 == 0 else f"user-{i % 7}")
    agent = AgentProcess(data, elasticsearch_server)
    agent.wait_until_shipped()
    before = documents(elasticsearch_server, data.log_id)
    assert len(before) == published_size(data)
    assert sum(CANARY in repr(document) for document in before) == 12
    assert _files_with(data.root, CANARY.encode())

    subject = tmp_path / "subject.txt"
    subject.write_text(f"user.id={CANARY}\n")
    dsr = Dsr(data, elasticsearch_server)
    opened = dsr("open", "--subject-file", str(subject), "--ground", "b", "--received", "2026-11-20", "--as", "ann")
    request = opened["request"]
    plan = dsr("plan", request)
    dsr("approve", request, "--as", "bob", "--plan", plan["plan"])
    dsr("execute", request, "--as", "bob", "--confirm", request)
    dsr("verify", request)
    agent.wait_until_shipped()
    agent.stop()

    after = documents(elasticsearch_server, data.log_id)
    assert len(after) == published_size(data) > len(before)
    assert CANARY not in repr(after)
    untouched = [document for document in before if CANARY not in repr(document)]
    assert [document for document in after if document in untouched] == untouched
    assert _files_with(data.root, CANARY.encode()) == []
    assert verify_directory(data.root).ok
