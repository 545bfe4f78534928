"""What the shipping tests share: a sink to the real server, and what the server has of one log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from pxl_audit.directory import DataDirectory
from pxl_audit.ship.connection import connection_from
from pxl_audit.ship.cursor import Cursor
from pxl_audit.ship.delivery import Records, Shipper, State
from pxl_audit.ship.elasticsearch import ElasticsearchStore
from pxl_audit.ship.sink import ElasticsearchSink
from pxl_audit.vault.query import published_size
from tests.real.elasticsearch_server import ElasticsearchServer

STREAMS = "logs-pxl_audit.*.otel-*"


def fresh_log_id() -> str:
    """A log of its own for each test: they share a server."""
    return os.urandom(8).hex()


def environ_for(server: ElasticsearchServer, namespace: str = "default") -> dict[str, str]:
    return {"ELASTICSEARCH_URL": server.url, "ELASTICSEARCH_NAMESPACE": namespace}


def sink_for(server: ElasticsearchServer, log_id: str, namespace: str = "default") -> ElasticsearchSink:
    connection = connection_from(environ_for(server, namespace))
    assert connection is not None
    return ElasticsearchSink(ElasticsearchStore(connection), log_id)


def ship_all(
    server: ElasticsearchServer, log_id: str, records: Records, cursors: Path, *, namespace: str = "default"
) -> None:
    """Ship until everything is delivered; nothing may go wrong."""
    sink = sink_for(server, log_id, namespace)
    shipper = Shipper(cursors, sink, records)
    result = shipper.step()
    while result.state is State.MORE:
        result = shipper.step()
    sink.close()
    assert (result.state, result.reason, result.behind) == (State.IDLE, "", 0)


def documents(server: ElasticsearchServer, log_id: str) -> list[dict[str, Any]]:
    """All documents of one log in all streams, by index: `_id`, `_index`, `_source`."""
    with Elasticsearch(server.url) as client:
        client.indices.refresh(index=STREAMS)
        answer = client.search(
            index=STREAMS, query={"term": {"pxl.log.id": log_id}}, size=10_000, sort=["pxl.log.index", "_index"]
        )
        hits = [{name: hit[name] for name in ("_id", "_index", "_source")} for hit in answer["hits"]["hits"]]
        assert answer["hits"]["total"]["value"] == len(hits)
        return hits


class AgentProcess:
    """`pxl-audit agent run` with shipping on."""

    def __init__(self, directory: DataDirectory, server: ElasticsearchServer) -> None:
        command = [sys.executable, "-m", "pxl_audit.cli.main", "agent", "run", "--data", str(directory.root)]
        environ = os.environ | environ_for(server)
        self._process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        self._directory = directory

    def wait_until_shipped(self) -> None:
        deadline = time.monotonic() + 60
        while not 0 < published_size(self._directory) == Cursor(self._directory.sinks, "elasticsearch").read():
            assert time.monotonic() < deadline, "the agent does not ship"
            assert self._process.poll() is None
            time.sleep(0.05)

    def stop(self) -> str:
        self._process.send_signal(signal.SIGTERM)
        _, said = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, said
        return said
