"""A server that dies in the middle: nothing is lost, nothing is there twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pxl_audit.ship.cursor import Cursor
from pxl_audit.ship.delivery import Shipper, State, StepResult
from tests.real.elasticsearch_server import ElasticsearchServer
from tests.real.shipping import documents, fresh_log_id, sink_for
from tests.ship.samples import FakeRecords, rows

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

RECORDS = 3000


def test_a_server_killed_while_we_ship_has_everything_once_when_it_is_back(
    elasticsearch_server: ElasticsearchServer, tmp_path: Path
) -> None:
    log_id = fresh_log_id()
    shipper = Shipper(tmp_path, sink_for(elasticsearch_server, log_id), FakeRecords(rows(RECORDS)), batch_records=50)
    assert shipper.step().next == 50
    # A third of the work, then kill -9 at a moment nobody chose.
    killer = threading.Timer(0.3, elasticsearch_server.kill)
    killer.start()
    results: list[StepResult] = []
    while not results or results[-1].state is State.MORE:
        results.append(shipper.step())
    killer.join()
    assert results[-1].state is State.RETRY, "the server was not killed in the middle"
    confirmed = results[-1].next
    assert 0 < confirmed < RECORDS
    assert shipper.step().next == Cursor(tmp_path, "elasticsearch").read() == confirmed

    elasticsearch_server.start()
    deadline = time.monotonic() + 120
    while (result := shipper.step()).state is not State.IDLE:
        assert time.monotonic() < deadline, result
        if result.state is not State.MORE:
            time.sleep(0.2)
    found = documents(elasticsearch_server, log_id)
    assert [document["_source"]["attributes"]["pxl.log.index"] for document in found] == list(range(RECORDS))
