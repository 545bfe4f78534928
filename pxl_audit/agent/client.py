"""For commands: put events into the log and wait until they are there, with or without a running agent."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import msgspec

from pxl_audit.agent.core import Agent
from pxl_audit.agent.process import agent_lock
from pxl_audit.agent.writers import ANSWER, Answer, Ask
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import BusyError, UnavailableError
from pxl_audit.files import is_locked
from pxl_audit.spool.writer import SpoolWriter

POLL_SECONDS = 0.02

Condition = Callable[[], bool]


def append_and_wait(directory: DataDirectory, events: Sequence[bytes], *, timeout_seconds: float = 60.0) -> list[int]:
    """Append events (from `make_event`); their leaf indexes, in order, once a published checkpoint covers them.

    Raises:
        UnavailableError: that took longer than `timeout_seconds`, or the agent was killed meanwhile. The events are
            durable, and are or will be recorded.
    """
    indexes = _ask(directory, events, Ask(), timeout_seconds).indexes
    if indexes is None:
        raise UnavailableError(
            f"{directory.root}: recorded, but the agent was restarted meanwhile; run the command again"
        )
    return indexes


def seal_all(directory: DataDirectory, *, timeout_seconds: float = 60.0) -> int:
    """Seal the vault; the published size.

    On return every record that existed at the call is in a sealed file, and the spool segment it came from is gone:
    its openings are in one place only.

    Raises:
        UnavailableError: that took longer than `timeout_seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    before = set(directory.spool.glob("*/*.spool"))
    _wait(directory, lambda: not any(path.exists() for path in before), deadline, "spool segments to be taken over")
    return _ask(directory, [], Ask(seal=True), max(1.0, deadline - time.monotonic())).size


def _ask(directory: DataDirectory, events: Sequence[bytes], ask: Ask, timeout_seconds: float) -> Answer:
    writer = SpoolWriter(directory.spool, "pxl-audit", ask=msgspec.json.encode(ask))
    answer_path = writer.path / ANSWER
    try:
        if events:
            writer.append(1, events)
        writer.rotate(final=True)
        _wait(directory, answer_path.exists, time.monotonic() + timeout_seconds, "an answer")
        return msgspec.json.decode(answer_path.read_bytes(), type=Answer)
    finally:
        writer.abandon()  # its lock is free then, and the agent removes the directory


def _wait(directory: DataDirectory, done: Condition, deadline: float, what: str) -> None:
    """Wait for the running agent, or be the agent where none runs."""
    while not done():
        if time.monotonic() >= deadline:
            raise UnavailableError(f"{directory.root}: waited too long for {what}; see {directory.agent_log}")
        if is_locked(directory.agent_lock):
            time.sleep(POLL_SECONDS)
            continue
        with contextlib.suppress(BusyError), agent_lock(directory, wait_seconds=0.0):
            _be_agent(directory, done, deadline)


def _be_agent(directory: DataDirectory, done: Condition, deadline: float) -> None:
    agent = Agent(directory)
    try:
        while not done() and time.monotonic() < deadline:
            if not agent.step():
                time.sleep(POLL_SECONDS)
    finally:
        agent.close()
