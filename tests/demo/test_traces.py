"""Traces are found raw, and in sealed files, whose pages are compressed."""

from __future__ import annotations

from pathlib import Path

from pxl_audit.agent.client import seal_all
from reports.demo.records import read_records
from reports.demo.traces import count_traces
from tests.builders import fill


def test_found_in_open_and_in_sealed_files(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", 70, lambda i: f"person-{i % 7}")
    values = {"there": "person-3", "not there": "person-8"}
    opened = count_traces(tmp_path, values)
    seal_all(data)
    sealed = count_traces(tmp_path, values)
    assert opened["there"] >= 10
    assert sealed["there"] >= 10
    assert opened["not there"] == sealed["not there"] == 0


def test_found_in_names_of_nothing_but_in_bytes_of_everything(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin").write_bytes(b"\0maya\0maya")
    (tmp_path / "y").write_bytes(b"may")
    assert count_traces(tmp_path, {"m": "maya"}) == {"m": 2}


def test_records_are_read_by_request(tmp_path: Path) -> None:
    data = fill(tmp_path / "data", 5)
    records = read_records(data.root)
    assert len(records.by_request) == sum(records.counts.values()) == 5
    assert records.twice == []
    assert (records.unclean_stops, records.gaps) == (0, 0)
    assert {one.user_id for one in records.by_request.values()} == {f"user-{n}" for n in range(5)}
