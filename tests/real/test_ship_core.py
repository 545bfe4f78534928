"""The whole way: requests, spool, agent process, log and vault, Elasticsearch; and after an erasure the same again."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.leaf import commit, commitment_text, decode_leaf
from pxl_audit.log.reader import LogReader
from pxl_audit.ship.cursor import Cursor
from pxl_audit.ship.document import log_entry
from pxl_audit.ship.erase import erase_in_sinks
from pxl_audit.ship.layout import Source, encode_source
from pxl_audit.ship.otel import _source as source_of
from pxl_audit.ship.otel import log_record
from pxl_audit.vault.destroy import destroy_openings
from pxl_audit.vault.query import published_size, rows
from pxl_audit.vault.row import Part
from tests.builders import fill
from tests.real.elasticsearch_server import ElasticsearchServer
from tests.real.shipping import AgentProcess, documents, environ_for

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

CANARY = "user-3"


def _expected(directory: DataDirectory) -> list[Source]:
    """What the vault says now, as documents."""
    sources = []
    for row in rows(directory, 0, published_size(directory)):
        record = log_record(log_entry(row, directory.log_id), "default")
        source = source_of(record, f"pxl_audit.{row.retention}.otel", "default")
        sources.append(msgspec.json.decode(encode_source(source), type=Source))
    return sources


def _shipped(server: ElasticsearchServer, directory: DataDirectory) -> list[Source]:
    return [document["_source"] for document in documents(server, directory.log_id)]


def test_what_the_agent_ships_is_what_the_vault_says_and_the_log_proves(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    directory = fill(tmp_path / "audit", 300)
    agent = AgentProcess(directory, elasticsearch_server)
    agent.wait_until_shipped()
    append_and_wait(directory, [make_event("test.late", facts={"n": n}) for n in range(50)])
    said = agent.stop()  # and drains
    assert Cursor(directory.sinks, "elasticsearch").read() == published_size(directory) > 350
    assert "records delivered" in said
    assert not any(word in said for word in (CANARY, "192.0.2.7"))
    shipped = _shipped(elasticsearch_server, directory)
    assert shipped == _expected(directory)
    _assert_proven(directory, shipped)

    theirs = [row.index for row in rows(directory, 0, 1 << 40) if row.actor.text and f'"{CANARY}"' in row.actor.text]
    assert len(theirs) == 300 // 7 + 1
    seal_all(directory)
    parts: dict[Part, list[int]] = {"actor": theirs, "target": theirs}
    [started] = append_and_wait(directory, [make_event("dsr.erasure.started")])
    destroy_openings(directory, parts, state="erased", by=started)
    [erasure] = erase_in_sinks(directory, parts, by=started, environ=environ_for(elasticsearch_server))
    assert (erasure.documents, erasure.verified) == (len(theirs), True), erasure.detail
    agent = AgentProcess(directory, elasticsearch_server)
    agent.wait_until_shipped()
    agent.stop()
    shipped = _shipped(elasticsearch_server, directory)
    assert shipped == _expected(directory)
    assert CANARY not in repr(shipped)


def _assert_proven(directory: DataDirectory, shipped: list[Source]) -> None:
    leaves = LogReader(directory.log).leaves(0, len(shipped))
    for source, leaf in zip(shipped, map(decode_leaf, leaves), strict=True):
        attributes = source["attributes"]
        assert isinstance(attributes, dict)
        for part, commitment in (("actor", leaf.a), ("target", leaf.b)):
            if attributes[f"pxl.{part}.state"] == "open":
                salt = b64decode(attributes[f"pxl.{part}.salt"])
                digest = commit(part.encode(), salt, attributes[f"pxl.{part}.text"].encode())
                assert commitment_text(digest) == commitment
