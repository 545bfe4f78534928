"""A policy at work: what is left out, what waits for the disk, what is refused, and intents that are always closed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pxl_audit import AuditMiddleware
from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.asgi_types import Message, Receive, Scope, Send
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import SettingsError
from pxl_audit.event import make_event
from pxl_audit.policy import Policy, Rule
from pxl_audit.vault.query import rows
from pxl_audit.vault.row import Row
from pxl_audit.verify import verify_directory
from tests.builders import Client, answering, drained, exchange, http_scope


def governed(directory: Path, *rules: Rule, app: Any = None) -> AuditMiddleware:
    return AuditMiddleware(
        app or answering(), service="svc", directory=directory, embedded_agent=False, policy=Policy(rules)
    )


def everything(directory: Path) -> list[Row]:
    drained(directory)
    return [row for row in rows(DataDirectory.open(directory), 0, 1 << 40) if row.service == "svc"]


def members(row: Row, part: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(getattr(row, part).text)
    return decoded


def test_left_out_is_counted(tmp_path: Path) -> None:
    """`none` leaves no record of the request, and one that says how many there were."""
    app = governed(tmp_path / "d", Rule("health", paths=("/healthz",), statuses=("2xx",), record="none"))

    async def main() -> None:
        for _ in range(3):
            await exchange(app, http_scope("/healthz"))
        await exchange(app, http_scope("/other"))

    asyncio.run(main())
    records = everything(tmp_path / "d")
    assert [members(row, "target")["url.path"] for row in records if row.event == "http.request"] == ["/other"]
    (counted,) = [row.facts for row in records if row.event == "audit.policy.unrecorded"]
    assert counted is not None
    assert counted["health"] == 3


def test_what_is_kept(tmp_path: Path) -> None:
    """Masks, dropped members, query, retention and address bits as the rule says."""
    rule = Rule(
        "keys",
        methods=("GET",),
        drop=("user_agent.original",),
        keep_query=True,
        retention="security",
        address_bits=(24, 48),
        mask_paths=("/keys/{mask}",),
    )
    app = governed(tmp_path / "d", rule)
    asyncio.run(exchange(app, http_scope("/keys/s3cret", query_string=b"page=2&token=abc")))
    (row,) = everything(tmp_path / "d")
    assert row.retention == "security"
    target, actor = members(row, "target"), members(row, "actor")
    assert target["url.path"] == "/keys/***"
    assert "abc" not in target["url.query"]
    assert "page=2" in target["url.query"]
    assert "user_agent.original" not in actor
    assert actor["client.address"] == "192.0.2.0/24"


class Gate:
    """Holds fdatasync back until opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        real = os.fdatasync

        def slow(fd: int) -> None:
            self.open.wait(20)
            real(fd)

        monkeypatch.setattr(os, "fdatasync", slow)


@pytest.mark.parametrize("durability", ["before-end", "before-and-after"])
def test_last_byte_waits_for_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any) -> None:
    """Whoever has seen a whole response is in the log; earlier bytes do not wait."""
    gate = Gate(monkeypatch)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        gate.open.clear()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await send({"type": "http.response.body", "body": b"last"})

    wrapped = governed(tmp_path / "d", Rule("strict", durability=durability), app=app)
    client = Client()

    async def main() -> tuple[list[Message], list[Message]]:
        task = asyncio.create_task(exchange(wrapped, client=client))
        await asyncio.sleep(0.3)
        early = list(client.sent)
        gate.open.set()
        await task
        return early, client.sent

    early, sent = asyncio.run(main())
    assert [message.get("body") for message in early] == [None, b"first"]
    assert sent[-1]["body"] == b"last"
    records = everything(tmp_path / "d")
    (row,) = [row for row in records if row.event == "http.request"]
    assert (row.status, row.ending, row.response_bytes) == (200, "complete", 9)


def test_intent_is_durable_before_the_application(tmp_path: Path) -> None:
    """The application finds its intent on the disk; the completion names it."""
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        spool = (tmp_path / "d" / "spool").glob("*/*.spool")
        seen.append(sum(path.read_bytes().count(b'"http.request.begun"') for path in spool))
        await answering(201)(scope, receive, send)

    wrapped = governed(tmp_path / "d", Rule("strict", durability="before-and-after"), app=app)
    asyncio.run(exchange(wrapped))
    assert seen == [1]
    intent, completion = everything(tmp_path / "d")
    assert (intent.event, intent.outcome) == ("http.request.begun", "unknown")
    assert (completion.event, completion.status, completion.facts) == ("http.request", 201, {"intent": intent.index})
    assert verify_directory(tmp_path / "d").ok


KILLED = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from pxl_audit import AuditMiddleware
    from pxl_audit.policy import Policy, Rule
    from tests.builders import exchange, http_scope

    async def app(scope, receive, send):
        print("called", flush=True)
        await asyncio.sleep(60)

    policy = Policy((Rule("strict", durability="before-and-after"),))
    audited = AuditMiddleware(app, service="svc", directory=sys.argv[1], embedded_agent=False, policy=policy)
    asyncio.run(exchange(audited))
    """
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "between", [None, append_and_wait, seal_all], ids=["one agent", "two agents", "sealed between"]
)
def test_intent_of_a_killed_process_is_closed(tmp_path: Path, between: Callable[..., object] | None) -> None:
    """Every request that could have had an effect has a last record, also when the agent changed meanwhile."""
    data = DataDirectory.open_or_create(tmp_path / "d")
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    worker = subprocess.Popen([sys.executable, "-c", KILLED, str(data.root)], stdout=subprocess.PIPE, env=environ)
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"called\n"
        if between is append_and_wait:
            append_and_wait(data, [make_event("test.event")])
        elif between is seal_all:
            seal_all(data)
        worker.send_signal(signal.SIGKILL)
    append_and_wait(data, [make_event("test.event")])
    append_and_wait(data, [make_event("test.event")])
    records = [row for row in rows(data, 0, 1 << 40) if row.service == "svc"]
    begun, closed = records
    assert (closed.event, closed.outcome) == ("http.request.unfinished", "unknown")
    assert closed.facts is not None
    assert closed.facts["intent"] == begun.index
    assert verify_directory(data.root).ok


def test_refused_when_the_log_cannot_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After before the application runs, and a record of it when the disk is back."""
    real = os.fdatasync
    broken = threading.Event()

    def flaky(fd: int) -> None:
        if broken.is_set():
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", flaky)
    monkeypatch.setattr("pxl_audit.recorder.RETRY_SECONDS", 0.01)
    called: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope["path"])
        await answering()(scope, receive, send)

    wrapped = governed(tmp_path / "d", Rule("strict", paths=("/pay",), failure="refuse"), app=app)

    async def main() -> list[Message]:
        await exchange(wrapped, http_scope("/pay"))
        broken.set()
        await exchange(wrapped, http_scope("/other"))
        await asyncio.sleep(0.1)
        refused = await exchange(wrapped, http_scope("/pay"))
        broken.clear()
        await asyncio.sleep(0.1)
        return refused.sent

    sent = asyncio.run(main())
    assert called == ["/pay", "/other"]
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    found = [(row.status, row.ending) for row in everything(tmp_path / "d") if row.event == "http.request"]
    assert found == [(200, "complete"), (200, "complete"), (503, "refused")]


def test_refused_without_a_usable_directory(tmp_path: Path) -> None:
    """No log at all: `refuse` refuses, `serve` serves."""
    (tmp_path / "thesis.tex").write_text("x")
    wrapped = governed(tmp_path, Rule("strict", methods=("POST",), failure="refuse"))
    assert asyncio.run(exchange(wrapped, http_scope(method="POST"))).sent[0]["status"] == 503
    assert asyncio.run(exchange(wrapped, http_scope(method="GET"))).sent[0]["status"] == 200


def test_policy_file(tmp_path: Path) -> None:
    """A path names the file; a bad one stops the service where it is built."""
    file = tmp_path / "policy.toml"
    file.write_text('[[rule]]\nname = "health"\npaths = ["/healthz"]\nrecord = "none"\n')
    middleware = AuditMiddleware(answering(), policy=file)
    assert middleware.policy is not None
    assert [rule.name for rule in middleware.policy.rules] == ["health"]
    file.write_text('[[rule]]\nname = "health"\npath = ["/healthz"]\n')
    with pytest.raises(SettingsError, match="did you mean paths"):
        AuditMiddleware(answering(), policy=str(file))
