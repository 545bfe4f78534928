"""A store and a sink in memory, and an HTTP server that answers what it is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pxl_audit.ship.verdict import Outcome, Verdict
from pxl_audit.vault.row import Row

STORED = Verdict(Outcome.STORED, "", 201)
EXISTS = Verdict(Outcome.EXISTS, "version_conflict_engine_exception", 409)
BUSY = Verdict(Outcome.RETRY, "es_rejected_execution_exception", 429)
POISON = Verdict(Outcome.REFUSED, "document_parsing_exception", 400)
BLOCKED = Verdict(Outcome.BLOCKED, "cluster_block_exception", 403)


@dataclass
class FakeSink:
    """Takes every record once; `say` overrules the verdict of an index, `hides` what it stores but does not confirm."""

    name: str = "fake"
    say: dict[int, Verdict] = field(default_factory=dict)
    hides: set[int] = field(default_factory=set)
    may_look: bool = True
    has: list[int] = field(default_factory=list)
    offered: list[list[int]] = field(default_factory=list)
    looked: list[list[int]] = field(default_factory=list)
    error: Exception | None = None

    def deliver(self, rows: Sequence[Row]) -> list[Verdict]:
        if self.error is not None:
            raise self.error
        self.offered.append([row.index for row in rows])
        return [self._take(row.index) for row in rows]

    def settled(self, rows: Sequence[Row]) -> set[int] | None:
        self.looked.append([row.index for row in rows])
        return {row.index for row in rows} & set(self.has) if self.may_look else None

    def _take(self, index: int) -> Verdict:
        if index in self.say:
            return self.say[index]
        if index in self.has:
            return EXISTS
        self.has.append(index)
        return Verdict(Outcome.RETRY, "ConnectionTimeout") if index in self.hides else STORED


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `cut` sends only so many bytes of the body and closes."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = (
        ("Content-Type", "application/json"),
        ("X-Elastic-Product", "Elasticsearch"),
    )
    cut: int | None = None


@contextlib.contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server on loopback that gives these answers in turn, the last one for ever; its URL, and what it was asked."""
    asked: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((f"{self.command} {self.path}", body))
            answer = answers[min(len(asked), len(answers)) - 1]
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
            self.close_connection = answer.cut is not None

        do_GET = do_POST = do_PUT = _answer  # noqa: N815  # the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
