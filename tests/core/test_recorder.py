"""The recorder: acknowledged means on the disk; what is lost is counted; forks and restarts do not mix."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from pxl_audit import AuditMiddleware
from pxl_audit.agent.client import append_and_wait
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.recorder import Recorder, close_recorder, recorder_for
from pxl_audit.spool.reader import SpoolReader
from pxl_audit.vault.query import rows
from tests.builders import answering, exchange


def opened(directory: Path) -> Recorder:
    return recorder_for(directory, "svc", embedded_agent=False)


def event(number: int) -> bytes:
    return make_event("test.event", facts={"number": number})


def numbers(directory: Path) -> list[int | str]:
    """Facts of all test events in the log, after a drain."""
    close_recorder(directory)
    data = DataDirectory.open(directory)
    append_and_wait(data, [make_event("test.drained")])
    return [row.facts["number"] for row in rows(data, 0, 1 << 40) if row.event == "test.event" and row.facts]


def test_acknowledged_only_after_the_disk_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While fdatasync has not returned, nobody is told that an event is durable."""
    gate = threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        gate.wait(10)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    recorder = opened(tmp_path / "d")
    seq = recorder.append(event(1), 0)
    assert not recorder.wait_durable(seq, 0.2)
    gate.set()
    assert recorder.wait_durable(seq, 5)
    assert numbers(tmp_path / "d") == [1]


def test_a_failing_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO a few times: events wait, go to new segments, and are recorded once, in order."""
    real = os.fdatasync
    failures = iter([True, True, True])

    def flaky(fd: int) -> None:
        if next(failures, False):
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr("pxl_audit.recorder.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(os, "fdatasync", flaky)
    recorder = opened(tmp_path / "d")
    for number in range(50):
        recorder.append(event(number), 0)
        time.sleep(0.001)
    assert recorder.wait_durable(50, 10)
    assert numbers(tmp_path / "d") == list(range(50))


def test_overflow_is_a_gap_with_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; what did not fit is counted and recorded when there is room again."""
    gate = threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        gate.wait(10)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    monkeypatch.setattr("pxl_audit.recorder.MAX_PENDING_BYTES", 3000)
    recorder = opened(tmp_path / "d")
    taken = [number for number in range(100) if recorder.append(event(number), time.time_ns() // 1000)]
    gate.set()
    assert 0 < len(taken) < 100
    assert numbers(tmp_path / "d") == taken
    data = DataDirectory.open(tmp_path / "d")
    gaps = [row.facts for row in rows(data, 0, 1 << 40) if row.event == "audit.gap" and row.facts]
    assert [gap["cause"] for gap in gaps] == ["queue_full"]
    assert sum(int(gap["count"]) for gap in gaps) == 100 - len(taken)


def test_a_lost_spool_file_is_a_gap(tmp_path: Path) -> None:
    """Unlinked under a running writer: noticed at the next commit, recorded, and the events after it are kept."""
    recorder = opened(tmp_path / "d")
    recorder.wait_durable(recorder.append(event(1), 0), 5)
    for path in (tmp_path / "d" / "spool").glob("*/*.spool"):
        path.unlink()
    recorder.wait_durable(recorder.append(event(2), 0), 5)
    assert numbers(tmp_path / "d") == [2]
    data = DataDirectory.open(tmp_path / "d")
    causes = {row.facts["cause"] for row in rows(data, 0, 99) if row.event == "audit.gap" and row.facts}
    assert causes == {"spool_file_lost", "spool_sequence"}


def test_waiting_does_not_block_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one request waits for the disk, others are served."""
    real = os.fdatasync

    def slow(fd: int) -> None:
        time.sleep(0.3)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    recorder = opened(tmp_path / "d")

    async def main() -> int:
        waiting = asyncio.create_task(recorder.durable(recorder.append(event(1), 0)))
        ticks = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(main()) > 10


def test_fork_gets_a_spool_of_its_own(tmp_path: Path) -> None:
    """A forked child neither writes into its parent's spool nor keeps its parent's lock."""
    middleware = AuditMiddleware(answering(), service="svc", directory=tmp_path / "d", embedded_agent=False)
    asyncio.run(exchange(middleware))
    parent_spool = middleware.recorder()._writer.path
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(exchange(middleware))
            code = 0 if middleware.recorder()._writer.path != parent_spool else 2
            close_recorder(tmp_path / "d")
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    close_recorder(tmp_path / "d")
    data = DataDirectory.open(tmp_path / "d")
    append_and_wait(data, [make_event("test.drained")])
    events = [row.event for row in rows(data, 0, 99)]
    assert events.count("http.request") == 2
    assert "audit.writer.unclean_stop" not in events


def test_used_again_after_close(tmp_path: Path) -> None:
    """A second life of the same process (reload, tests) gets a new spool; nothing is lost."""
    for number in range(3):
        recorder = opened(tmp_path / "d")
        recorder.append(event(number), 0)
        close_recorder(tmp_path / "d")
        assert recorder.closed
    assert sorted(map(int, numbers(tmp_path / "d"))) == [0, 1, 2]


def test_segments_rotate_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle writer closes its segment, so that a person's data leaves the spool within seconds."""
    monkeypatch.setattr("pxl_audit.spool.writer.SEGMENT_SECONDS", 0.05)
    recorder = opened(tmp_path / "d")
    recorder.wait_durable(recorder.append(event(1), 0), 5)
    reader = SpoolReader(recorder._writer.path, 0)
    deadline = time.monotonic() + 5
    done: list[Path] = []
    while not done and time.monotonic() < deadline:
        done += reader.read().done_segments
        time.sleep(0.01)
    assert done
    assert not reader.ended
    recorder.close()


def test_no_thread_and_no_file_before_the_first_use(tmp_path: Path) -> None:
    """Construction starts nothing: pre-loaded workers fork after it."""
    before = threading.active_count()
    AuditMiddleware(answering(), service="svc", directory=tmp_path / "d")
    assert threading.active_count() == before
    assert not (tmp_path / "d").exists()
