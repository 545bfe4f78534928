"""What was destroyed, what was announced and what the ledger says must be one and the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pxl_audit.verify import verify_directory
from tests.verify import build
from tests.verify.test_log_tampering import places

pytestmark = pytest.mark.slow

LEDGER = "ledger/erasures.jsonl"
FIRST = "vault/sealed/000000000000-000000000100.parquet"


def test_missing_ledger(root: Path) -> None:
    (root / LEDGER).unlink()
    assert places(verify_directory(root)) == {("ledger-missing", LEDGER, 250)}


def test_ledger_line_removed(root: Path) -> None:
    lines = (root / LEDGER).read_bytes().splitlines(keepends=True)
    (root / LEDGER).write_bytes(lines[1])
    assert places(verify_directory(root)) == {("ledger-missing", LEDGER, 250)}


def test_every_byte_of_the_ledger(root: Path) -> None:
    path = root / LEDGER
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        found = verify_directory(root).findings
        # The newline behind the last line is what makes it a line; its event is pending, so nothing needs it.
        assert position == len(data) - 1 or LEDGER in {finding.file for finding in found}, position


@pytest.mark.parametrize(
    "change",
    [
        {"actor": [[3, 4], [7, 8]]},
        {"actor": [[3, 4], [7, 8], [120, 122]]},
        {"target": [[8, 9]]},
        {"target": []},
    ],
)
def test_ledger_with_another_set(root: Path, change: build.Members) -> None:
    lines = (root / LEDGER).read_bytes().splitlines(keepends=True)
    lines[0] = build.encode(json.loads(lines[0]) | change) + b"\n"
    (root / LEDGER).write_bytes(b"".join(lines))
    assert places(verify_directory(root)) == {("ledger-set", LEDGER, 250)}


@pytest.mark.parametrize(
    "change",
    [
        {"log": "ff" * 8},
        {"actor": [[4, 3]]},
        {"actor": [[7, 8], [3, 4]]},
        {"actor": [[3, 5], [4, 6]]},
        {"actor": [[3, 3]]},
        {"actor": [[-1, 2]]},
        {"actor": [[0, 10**15]]},
        {"event": "x"},
        {"more": 1},
        {"actor": [[249, 251]]},
    ],
)
def test_malformed_ledger_line(root: Path, change: build.Members) -> None:
    lines = (root / LEDGER).read_bytes().splitlines(keepends=True)
    line = build.encode(json.loads(lines[0]) | change) + b"\n"
    (root / LEDGER).write_bytes(b"".join([*lines, line]))
    assert places(verify_directory(root)) == {("ledger-line", LEDGER, None)}


@pytest.mark.parametrize(("event", "place"), [(9, 9), (251, 251), (300, None), (10**17, None)])
def test_ledger_of_another_event(root: Path, event: int, place: int | None) -> None:
    line = {"actor": [[3, 4]], "event": event, "log": build.LOG_ID, "target": []}
    with (root / LEDGER).open("ab") as file:
        file.write(build.encode(line) + b"\n")
    assert places(verify_directory(root)) == {("ledger-event", LEDGER, place)}


def test_two_lines_of_one_event(root: Path) -> None:
    path = root / LEDGER
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0]]))
    assert verify_directory(root).ok
    path.write_bytes(b"".join([*lines, lines[0].replace(b"[120,121]", b"[121,122]")]))
    assert places(verify_directory(root)) == {("ledger-line", LEDGER, 250)}


def test_torn_ledger_line(root: Path) -> None:
    with (root / LEDGER).open("ab") as file:
        file.write(b'{"actor":[[3,')
    assert verify_directory(root).ok


def test_restored_vault(root: Path) -> None:
    """A vault from before the erasure: the person is back, and the log says so."""
    sample = build.large()
    for record in sample.records:
        for part in (record.actor, record.target):
            if part.by == 250:
                part.state, part.by = "open", None
    build.write_sealed(root / FIRST, 0, sample.records[:100])
    expected = {("erasure-set", "vault/", 250)} | {("not-destroyed", FIRST, index) for index in (3, 7)}
    assert places(verify_directory(root)) == expected


def test_completed_but_never_destroyed(tmp_path: Path) -> None:
    sample = build.small(8)
    sample.erase(5, [1, 2], [1], destroy=False)
    root = sample.write(tmp_path / "started")
    assert verify_directory(root).ok
    sample.records[6] = build.event_record(6, "dsr.erasure.completed", {"request": "r1", "started": 5})
    found = places(verify_directory(sample.write(tmp_path / "completed")))
    assert found == {("erasure-set", "vault/", 5), ("not-destroyed", "vault/", 1), ("not-destroyed", "vault/", 2)}


@pytest.mark.parametrize(
    "facts", [{"request": "r2", "started": 5}, {"request": "r1", "started": 4}, {"request": "r1"}, {}]
)
def test_completion_of_nothing(tmp_path: Path, facts: dict[str, int | str]) -> None:
    sample = build.small(8)
    sample.erase(5, [1], [], destroy=False)
    sample.records[6] = build.event_record(6, "dsr.erasure.completed", facts)
    assert places(verify_directory(sample.write(tmp_path / "data"))) == {("event-facts", "log/", 6)}


@pytest.mark.parametrize("facts", [{}, {"root": "x"}, {"actor_parts": "1"}, {"root": "AAAA"}])
def test_announcement_without_its_facts(tmp_path: Path, facts: dict[str, int | str]) -> None:
    sample = build.small(8)
    whole: dict[str, int | str] = {"request": "r1"} | build.announced([1], []) | facts
    sample.records[5] = build.event_record(5, "dsr.erasure.started", whole if facts else {"request": "r1"})
    assert places(verify_directory(sample.write(tmp_path / "data"))) == {("event-facts", "log/", 5)}


def test_empty_erasure(tmp_path: Path) -> None:
    """A person of whom nothing is known: nothing announced, nothing gone."""
    sample = build.small(8)
    sample.erase(5, [], [])
    sample.records[6] = build.event_record(6, "dsr.erasure.completed", {"request": "r1", "started": 5})
    report = verify_directory(sample.write(tmp_path / "data"))
    assert report.ok
    assert report.erasures[0].completed == 6
