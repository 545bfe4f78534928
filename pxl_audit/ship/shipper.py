"""The loop around the shipper: a thread of the agent. Nothing is lost when it ends, at whatever point."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import AuditError, UnavailableError
from pxl_audit.ship.connection import URL
from pxl_audit.ship.delivery import Shipper, State, StepResult

if TYPE_CHECKING:
    from pxl_audit.ship.sink import ElasticsearchSink

IDLE_SECONDS = 1.0
BREATH_SECONDS = 0.02
"""Pause between two batches: who waits for the vault's lock looks every 0.01 s and must find it free."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
DRAIN_SECONDS = 5.0
TELL_SECONDS = 60.0

_log = logging.getLogger("pxl_audit.ship")


def run_shipper(directory: DataDirectory, environ: Mapping[str, str], stop: threading.Event) -> None:
    """Ship until `stop` is set, then for at most `DRAIN_SECONDS` what is left, if the server answers.

    Returns at once where `ELASTICSEARCH_URL` is not set. Never raises: what went wrong is in the log
    `pxl_audit.ship`, as counts and types of errors.
    """
    if not (environ.get(URL) or environ.get(f"{URL}_FILE")):
        return
    try:
        sink, shipper = _open(directory, environ)
    except AuditError as error:
        _log.error("not shipping: %s", error)
        return
    diary = _Diary()
    pause = _Pause()
    try:
        while not stop.is_set():
            result = _attempt(shipper)
            diary.note(result)
            stop.wait(pause.after(result))
        sink.limit_patience(DRAIN_SECONDS)
        _drain(shipper, diary)
    finally:
        diary.close()
        sink.close()


def _open(directory: DataDirectory, environ: Mapping[str, str]) -> tuple[ElasticsearchSink, Shipper]:
    try:
        # 0.5 s of imports, and optional ones: only a process that ships pays for them.
        from pxl_audit.ship.records import PublishedRecords  # noqa: PLC0415
        from pxl_audit.ship.sink import open_sink  # noqa: PLC0415
    except ImportError as error:
        raise missing_extra(error) from None
    sink = open_sink(directory, environ)
    if sink is None:
        raise UnavailableError(f"{URL} is empty")
    return sink, Shipper(directory.sinks, sink, PublishedRecords(directory))


def missing_extra(error: ImportError) -> UnavailableError:
    """What to say when shipping is asked for and its packages are not installed."""
    return UnavailableError(
        f"{URL} is set, but the package {error.name or 'elasticsearch'} is missing; "
        "pip install 'pxl-audit[elasticsearch]'"
    )


def _attempt(shipper: Shipper) -> StepResult:
    try:
        return shipper.step()
    except AuditError as error:
        return StepResult(State.BLOCKED, reason=str(error))
    except Exception as error:  # noqa: BLE001  # a thread that dies in silence would look like a quiet day
        # The type only: messages of libraries quote the values they choke on.
        return StepResult(State.RETRY, reason=f"unexpected {type(error).__name__}")


def _drain(shipper: Shipper, diary: _Diary) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        result = _attempt(shipper)
        diary.note(result)
        if result.state is not State.MORE:
            return


class _Pause:
    """How long to wait after a step: doubling with jitter while nothing moves."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, result: StepResult) -> float:
        """Seconds."""
        if result.state in (State.IDLE, State.MORE):
            self._failures = 0
            return IDLE_SECONDS if result.state is State.IDLE else BREATH_SECONDS
        self._failures = 1 if result.delivered else self._failures + 1
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 10))
        # Jitter keeps a fleet that lost its server together from coming back together.
        share = random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
        return longest * share


class _Diary:
    """Says what happens: a new trouble at once, a lasting one and the counts every minute."""

    def __init__(self) -> None:
        self._delivered = 0
        self._trouble = ""
        self._told = 0.0

    def note(self, result: StepResult) -> None:
        self._delivered += result.delivered
        if result.quarantined:
            _log.error("%d records refused for good and quarantined", result.quarantined)
        trouble = result.reason if result.state in (State.RETRY, State.BLOCKED) else ""
        due = time.monotonic() - self._told >= TELL_SECONDS
        if trouble and (trouble != self._trouble or due):
            _log.warning("%s at index %d, %d behind: %s", result.state.value, result.next, result.behind, trouble)
            self._told = time.monotonic()
        elif self._trouble and not trouble:
            _log.info("delivering again at index %d, %d behind", result.next, result.behind)
        elif self._delivered and due:
            self._tell_counts()
        self._trouble = trouble

    def close(self) -> None:
        if self._delivered:
            self._tell_counts()

    def _tell_counts(self) -> None:
        _log.info("%d records delivered", self._delivered)
        self._delivered = 0
        self._told = time.monotonic()
