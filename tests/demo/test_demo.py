"""A short demo, as a person runs it: real services, real requests, a real SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pxl_audit.cli.main import main
from reports.demo.commands import plain_environment, run_command
from reports.demo.reconciliation import Check
from reports.demo.story import Told, current_quarter, summary

COMMAND = [sys.executable, "-m", "pxl_audit.cli.main", "demo"]


def processes_naming(text: str) -> list[int]:
    """Processes that have `text` in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_a_short_demo_holds(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [*COMMAND, "--out", str(out), "--requests", "300", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert told["ok"] is True
    assert all(check["holds"] for check in told["checks"])
    assert told["gateway"].pop("requests made") == sum(told["gateway"].values()) == 300
    assert sum(told["requests"].values()) == sum(told["statuses"].values()) == 300
    assert {"200", "400", "401", "403", "404", "422", "500", "no response"} <= told["statuses"].keys()
    assert told["traces_before"]["user id"] > 0
    assert set(told["traces_after"].values()) == {0}
    assert (out / "pack" / "report.html").exists()
    assert run_command("verify", str(out / "gateway")).exit_code == 0
    assert run_command("verify", str(out / "core")).exit_code == 0
    assert json.loads((out / "demo.json").read_text())["ok"] is True
    assert processes_naming(str(out)) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    demo = subprocess.Popen([*COMMAND, "--out", str(out), "--requests", "2000"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (out / "core" / "vault").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
    while processes_naming(str(out)) and time.monotonic() < deadline + 30:
        time.sleep(0.2)  # the agents drain, and end by themselves
    assert processes_naming(str(out)) == []


def test_too_few_requests_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "out"), "--requests", "10"]) == 64
    assert "--requests 10: expected at least 200" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("now", "quarter"),
    [((2026, 1, 1), "2026-Q1"), ((2026, 3, 31), "2026-Q1"), ((2026, 4, 1), "2026-Q2"), ((2026, 12, 31), "2026-Q4")],
)
def test_current_quarter(now: tuple[int, int, int], quarter: str) -> None:
    assert current_quarter(datetime(*now, tzinfo=UTC)) == quarter


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_is_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], holds: bool, code: int
) -> None:
    told = Told(checks=[Check("a statement", holds, "what was found")])
    monkeypatch.setattr("reports.demo.story.tell", lambda *_: told)
    assert main(["demo", "--out", str(tmp_path), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["ok"] is holds
    assert summary(replace(told))["ok"] is holds


def test_commands_run_without_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign: Mapping[str, str] = {"PXL_AUDIT_DATA": "x", "ELASTICSEARCH_URL": "http://x", "GATEWAY_TOKENS": "x"}
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    assert foreign.keys().isdisjoint(plain_environment())


def test_what_failed_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Told(checks=[Check("a statement", True, "fine"), Check("another", False, "3 left over")])
    monkeypatch.setattr("reports.demo.story.tell", lambda *_: told)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "holds  a statement (fine)" in output
    assert "FAILS  another (3 left over)" in output
    assert "1 of 2 hold" in output
    assert str(tmp_path / "pack" / "report.html") in output
