"""The loop: when it runs, when it ends, and what it says."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import LogError, UnavailableError
from pxl_audit.ship import shipper
from pxl_audit.ship.delivery import Shipper, State, StepResult
from pxl_audit.ship.erase import erase_in_sinks
from pxl_audit.ship.shipper import run_shipper
from tests.ship.fakes import BUSY, POISON, FakeSink
from tests.ship.samples import FakeRecords, rows

URL = {"ELASTICSEARCH_URL": "http://127.0.0.1:9"}


class Sink(FakeSink):
    closed = False

    def limit_patience(self, timeout_seconds: float) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return DataDirectory.open_or_create(tmp_path / "audit")


@pytest.fixture
def start(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., threading.Event]:
    """Start the loop on a fake sink; the event stops it, and the test's end waits for it."""

    def run(sink: Sink, count: int) -> threading.Event:
        made = Shipper(directory.sinks, sink, FakeRecords(rows(count)), batch_records=4)
        monkeypatch.setattr(shipper, "_open", lambda *_: (sink, made))
        stop = threading.Event()
        threading.Thread(target=run_shipper, args=(directory, URL, stop), daemon=True).start()
        return stop

    return run


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_runs_where_no_server_is_named(directory: DataDirectory) -> None:
    run_shipper(directory, {}, threading.Event())
    assert not directory.sinks.exists()


def test_everything_is_shipped_and_a_stop_ends_the_loop(start: Callable[..., threading.Event]) -> None:
    sink = Sink()
    stop = start(sink, 10)
    _until(lambda: len(sink.has) == 10)
    stop.set()
    _until(lambda: sink.closed)


def test_a_stop_drains_what_is_left(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    made = Shipper(directory.sinks, sink, FakeRecords(rows(10)), batch_records=4)
    monkeypatch.setattr(shipper, "_open", lambda *_: (sink, made))
    stop = threading.Event()
    stop.set()
    run_shipper(directory, URL, stop)
    assert (sink.has, sink.closed) == (list(range(10)), True)


def test_a_stop_does_not_wait_for_a_server_that_is_away(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink(error=UnavailableError("away"))
    made = Shipper(directory.sinks, sink, FakeRecords(rows(10)))
    monkeypatch.setattr(shipper, "_open", lambda *_: (sink, made))
    stop = threading.Event()
    stop.set()
    began = time.monotonic()
    run_shipper(directory, URL, stop)
    assert time.monotonic() - began < 2
    assert sink.closed


def test_an_error_nobody_expected_is_said_without_its_words_and_tried_again(
    start: Callable[..., threading.Event], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "FIRST_PAUSE_SECONDS", 0.01)
    sink = Sink(error=ValueError("canary@example.org"))
    with caplog.at_level(logging.INFO, "pxl_audit.ship"):
        stop = start(sink, 10)
        _until(lambda: "unexpected ValueError" in caplog.text)
        sink.error = None
        _until(lambda: len(sink.has) == 10)
        stop.set()
        _until(lambda: sink.closed)
    assert "canary" not in caplog.text
    assert "delivering again" in caplog.text
    assert "10 records delivered" in caplog.text


def test_a_lasting_trouble_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    diary = shipper._Diary()
    with caplog.at_level(logging.INFO, "pxl_audit.ship"):
        for _ in range(5):
            diary.note(StepResult(State.RETRY, next=3, behind=7, reason="429 busy"))
        diary.note(StepResult(State.BLOCKED, next=3, behind=7, reason="403 security_exception"))
        diary.note(StepResult(State.MORE, delivered=2, quarantined=1, next=6, behind=4))
    assert [record.getMessage() for record in caplog.records] == [
        "retry at index 3, 7 behind: 429 busy",
        "blocked at index 3, 7 behind: 403 security_exception",
        "1 records refused for good and quarantined",
        "delivering again at index 6, 4 behind",
    ]


def test_pauses_grow_with_jitter_and_end_with_success() -> None:
    pause = shipper._Pause()
    retry = StepResult(State.RETRY)
    waits = [pause.after(retry) for _ in range(12)]
    longest = [min(30.0, 0.5 * 2.0**n) for n in range(12)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert len(set(waits)) == 12
    assert pause.after(StepResult(State.MORE)) < 0.1
    assert pause.after(StepResult(State.IDLE)) == 1.0
    assert pause.after(retry) <= 0.5


def test_missing_packages_are_named_with_what_to_install(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("elasticsearch", "pxl_audit.ship.elasticsearch", "pxl_audit.ship.sink", "pxl_audit.ship.records"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("pxl_audit.ship.otel", "pxl_audit.ship.rewrite", "pxl_audit.ship.expunge"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "elasticsearch", None)
    run_shipper(directory, URL, threading.Event())
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(
        "not shipping: ELASTICSEARCH_URL is set, but the package elasticsearch is missing; pip install"
    )
    with pytest.raises(UnavailableError, match=r"pip install 'pxl-audit\[elasticsearch\]'"):
        erase_in_sinks(directory, {"actor": [0]}, by=1, environ=URL)


def test_contradictory_settings_are_said_once_and_shipping_does_not_start(
    directory: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    run_shipper(directory, URL | {"ELASTICSEARCH_PASSWORD": "s3cret"}, threading.Event())
    assert "ELASTICSEARCH_USERNAME" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_log_that_cannot_be_trusted_is_not_shipped(directory: DataDirectory) -> None:
    class Forged(FakeRecords):
        def size(self) -> int:
            raise LogError("checkpoint: not signed by our key")

    sink = Sink()
    result = shipper._attempt(Shipper(directory.sinks, sink, Forged(rows(3))))
    assert (result.state, result.reason, sink.offered) == (State.BLOCKED, "checkpoint: not signed by our key", [])


def test_the_diary_tells_quarantine_and_trouble_of_one_step(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    sink = Sink(say={0: POISON, 1: BUSY})
    result = Shipper(tmp_path, sink, FakeRecords(rows(3))).step()
    shipper._Diary().note(result)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
