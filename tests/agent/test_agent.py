"""The agent: one gap-free order from many writers, whatever is killed when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.agent.core import Agent
from pxl_audit.agent.process import agent_lock
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import BusyError, LogError
from pxl_audit.event import make_event
from pxl_audit.log.keys import load_vkey
from pxl_audit.log.reader import LogReader
from pxl_audit.spool.writer import SpoolWriter
from pxl_audit.vault.query import connect, published_size, rows


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory.open_or_create(tmp_path / "d")


def facts_of(data: DataDirectory, event: str) -> list[dict[str, int | str]]:
    """Facts of all records of an event, in order."""
    return [row.facts or {} for row in rows(data, 0, 1 << 40) if row.event == event]


def event(writer: str, number: int) -> bytes:
    return make_event("test.event", facts={"from": writer, "number": number})


def test_order_is_gap_free_and_keeps_each_writers_order(data: DataDirectory) -> None:
    """Five writers, events in between each other: consecutive indexes, nothing lost, nothing twice."""
    writers = [SpoolWriter(data.spool, "svc") for _ in range(5)]
    for batch in range(4):
        for writer in writers:
            writer.append(batch * 10 + 1, [event(writer.id, batch * 10 + i) for i in range(10)])
        if batch == 2:
            append_and_wait(data, [make_event("test.marker")])
    for writer in writers:
        writer.close()
    append_and_wait(data, [make_event("test.marker")])
    records = list(rows(data, 0, 1 << 40))
    assert [row.index for row in records] == list(range(len(records)))
    seen = facts_of(data, "test.event")
    for writer in writers:
        assert [fact["number"] for fact in seen if fact["from"] == writer.id] == list(range(40))


def test_events_of_a_command_get_their_indexes(data: DataDirectory) -> None:
    """A command learns where its events are."""
    append_and_wait(data, [make_event("test.other")])
    indexes = append_and_wait(data, [event("me", i) for i in range(3)])
    assert [row.facts for row in rows(data, indexes[0], indexes[-1] + 1)] == [
        {"from": "me", "number": i} for i in range(3)
    ]


def test_commands_leave_nothing_behind(data: DataDirectory) -> None:
    """No spool directory stays, no unclean stop is recorded, and a second agent finds nothing to say."""
    for _ in range(3):
        append_and_wait(data, [make_event("test.event")])
        seal_all(data)
    with agent_lock(data):
        agent = Agent(data)
        for _ in range(5):
            agent.step()
        agent.close()
    assert list(data.spool.iterdir()) == []
    assert facts_of(data, "audit.writer.unclean_stop") == []


def test_a_clean_end_is_no_unclean_stop_for_the_next_agent(data: DataDirectory) -> None:
    """An agent that ends right after it took a writer's last event leaves no false alarm."""
    writer = SpoolWriter(data.spool, "svc")
    writer.append(1, [event(writer.id, 1)])
    writer.close()
    with agent_lock(data):
        agent = Agent(data)
        agent.step()
        agent.close()
    append_and_wait(data, [make_event("test.marker")])
    assert facts_of(data, "audit.writer.unclean_stop") == []
    assert len(facts_of(data, "test.event")) == 1


WORKER = textwrap.dedent(
    """
    import asyncio, sys
    from pxl_audit import AuditMiddleware
    from tests.builders import answering, exchange, http_scope

    async def app(scope, receive, send):
        if scope["path"] == "/hang":
            await asyncio.sleep(60)
        await answering()(scope, receive, send)

    async def main():
        audited = AuditMiddleware(app, service="victim", directory=sys.argv[1], embedded_agent=False)
        for _ in range(20):
            await exchange(audited)
        recorder = audited.recorder()
        await recorder.durable(20)
        hanging = [asyncio.create_task(exchange(audited, http_scope("/hang"))) for _ in range(3)]
        await asyncio.sleep(0.05)
        print("ready", flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
    """
)


def test_killed_writer_is_named_with_what_it_lost(data: DataDirectory) -> None:
    """kill -9: acknowledged records are there, requests in flight are counted in a record of their own."""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(data.root)], stdout=subprocess.PIPE, env=environ)
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        worker.send_signal(signal.SIGKILL)
    append_and_wait(data, [make_event("test.marker")])
    deadline = time.monotonic() + 10
    while not facts_of(data, "audit.writer.unclean_stop") and time.monotonic() < deadline:
        append_and_wait(data, [make_event("test.marker")])
    (facts,) = facts_of(data, "audit.writer.unclean_stop")
    assert (facts["begun"], facts["in_flight"], facts["lost"], facts["recovered"]) == (23, 3, 0, 20)
    assert facts["service"] == "victim"
    assert sum(row.service == "victim" for row in rows(data, 0, 1 << 40)) == 20


FORKING_WORKER = textwrap.dedent(
    """
    import asyncio, os, sys, time
    from pxl_audit import AuditMiddleware
    from tests.builders import answering, exchange

    audited = AuditMiddleware(answering(), service="victim", directory=sys.argv[1], embedded_agent=False)
    asyncio.run(exchange(audited))
    audited.recorder().wait_durable(1, 10)
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
    """
)


def test_forked_child_does_not_keep_a_killed_parent_alive(data: DataDirectory) -> None:
    """A child that lives on must not hold the lock by which its parent is known to live."""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKING_WORKER, str(data.root)], stdout=subprocess.PIPE, env=environ
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait(10)
        for _ in range(5):
            append_and_wait(data, [make_event("test.marker")])
        assert len(facts_of(data, "audit.writer.unclean_stop")) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


STEPS: list[tuple[str, str]] = [
    ("pxl_audit.agent.core", "sequence"),
    ("pxl_audit.vault.journal", "write_all"),
    ("pxl_audit.log.writer", "write_atomically"),
    ("pxl_audit.log.writer", "sync_directory"),
    ("pxl_audit.agent.core", "seal"),
    ("pxl_audit.vault.sealed", "publish_file"),
    ("pxl_audit.agent.core", "unlink_durably"),
    ("pxl_audit.agent.writers", "write_atomically"),
]


class Killed(BaseException):
    """Stands for a kill: no handler of ours may swallow it."""


@pytest.mark.slow
@pytest.mark.parametrize("when", [1, 2, 3])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=lambda value: value)
def test_agent_killed_at_each_step_loses_and_doubles_nothing(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, module: str, name: str, when: int
) -> None:
    """After a kill before any step, the next agent goes on: every event once, indexes without holes."""
    writer = SpoolWriter(data.spool, "svc")
    writer.append(1, [event(writer.id, i) for i in range(300)])
    writer.rotate()
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{name}", killing(sys.modules[module].__dict__[name], when))
        run_until_killed(data)
    writer.append(301, [event(writer.id, i) for i in range(300, 320)])
    writer.close()
    seal_all(data)
    assert [fact["number"] for fact in facts_of(data, "test.event")] == list(range(320))
    records = [row.index for row in rows(data, 0, 1 << 40)]
    assert records == list(range(published_size(data)))
    leaves = LogReader(data.log).leaves(0, published_size(data))
    assert sum(b'"e":"test.event"' in leaf for leaf in leaves) == 320
    assert facts_of(data, "audit.gap") == []


def killing(real: Callable[..., object], when: int) -> Callable[..., object]:
    calls = Counter[str]()

    def call(*args: object, **kwargs: object) -> object:
        calls["n"] += 1
        if calls["n"] == when:
            raise Killed
        return real(*args, **kwargs)

    return call


def run_until_killed(data: DataDirectory) -> None:
    with agent_lock(data):
        agent = None
        try:
            agent = Agent(data)
            for _ in range(4):
                agent.step()
                agent.publish()
                agent.seal()
        except Killed:
            pass
        finally:
            if agent is not None:
                agent.writers.close()


def test_two_agents_are_refused(data: DataDirectory) -> None:
    """The lock decides; the loser says so."""
    with agent_lock(data), pytest.raises(BusyError, match="another agent"), agent_lock(data, wait_seconds=0.1):
        pass


def test_missing_key_is_not_replaced(data: DataDirectory) -> None:
    """A log whose key is gone is not continued under a new one."""
    append_and_wait(data, [make_event("test.event")])
    vkey = load_vkey(data)
    (data.keys / "log.key").unlink()
    with pytest.raises(LogError, match="put the key back"):
        Agent(data)
    assert load_vkey(data) == vkey


def test_vault_older_than_log_is_refused(data: DataDirectory) -> None:
    """A restored older vault never makes the agent give an index twice."""
    append_and_wait(data, [make_event("test.event")])
    old = {path: path.read_bytes() for path in data.open_vault.iterdir()}
    append_and_wait(data, [make_event("test.event")])
    for path, content in old.items():
        path.write_bytes(content)
    with pytest.raises(LogError, match="older backup"):
        Agent(data)


def test_unreadable_event_becomes_a_gap_in_its_place(data: DataDirectory) -> None:
    """One poisonous event stops nobody."""
    writer = SpoolWriter(data.spool, "svc")
    writer.append(1, [event(writer.id, 0), b'{"unknown":1}', event(writer.id, 2)])
    writer.close()
    append_and_wait(data, [make_event("test.marker")])
    assert [fact["number"] for fact in facts_of(data, "test.event")] == [0, 2]
    assert [fact["cause"] for fact in facts_of(data, "audit.gap")] == ["unreadable_event"]


def test_seal_moves_everything_into_one_place(data: DataDirectory) -> None:
    """After a seal the open vault and the spool hold nothing, and the records read the same."""
    writer = SpoolWriter(data.spool, "svc")
    writer.append(1, [event(writer.id, i) for i in range(10)])
    writer.close()
    append_and_wait(data, [make_event("test.marker", actor={"user.id": "canary-1"})])
    before = list(rows(data, 0, 1 << 40))
    assert seal_all(data) == len(before)
    assert list(rows(data, 0, 1 << 40)) == before
    assert not any(b"canary-1" in path.read_bytes() for path in data.open_vault.iterdir())
    with connect(data) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (len(before),)
