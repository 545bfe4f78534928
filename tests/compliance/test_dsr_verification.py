"""Verification finds what does not agree: in the vault, in the ledger, in what was left undone."""

from __future__ import annotations

import pytest

from compliance.dsr import execution
from compliance.dsr.ledger import append_once, ledger_path
from compliance.dsr.parts import PartSet
from compliance.dsr.requests import Request
from compliance.dsr.verification import check_all, check_request
from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.vault.destroy import destroy_openings
from tests.compliance.people import approved, executed

pytestmark = pytest.mark.slow


@pytest.fixture
def done(directory: DataDirectory) -> Request:
    return executed(directory, approved(directory).id).request


def _faults(directory: DataDirectory, request: Request) -> str:
    check = check_request(directory, request)
    assert check is not None
    assert check.verdict == "bad"
    return "; ".join(check.faults)


def test_one_more_part_gone_than_announced(directory: DataDirectory, done: Request) -> None:
    assert done.started is not None
    destroy_openings(directory, {"actor": [4]}, state="erased", by=done.started)
    faults = _faults(directory, done)
    assert "announced 3 actor parts; the vault has 4" in faults
    assert "root" in faults
    assert "ledger lists other parts" in faults


def test_a_ledger_that_lost_its_line(directory: DataDirectory, done: Request) -> None:
    ledger_path(directory).unlink()
    assert _faults(directory, done) == "the ledger has 0 lines for this record instead of 1"


def test_a_vault_restored_from_before_the_erasure(directory: DataDirectory) -> None:
    request = approved(directory)
    seal_all(directory)
    before = {path: path.read_bytes() for path in directory.sealed.glob("*.parquet")}
    done = executed(directory, request.id).request
    for path, data in before.items():
        path.write_bytes(data)
    faults = _faults(directory, done)
    assert "announced 3 actor parts; the vault has 0" in faults
    assert "7 parts of the ledger's set are still open" in faults


def test_an_erasure_that_was_never_announced(directory: DataDirectory, done: Request) -> None:
    (index,) = append_and_wait(directory, [make_event("some.record")])
    seal_all(directory)
    destroy_openings(directory, {"target": [4]}, state="erased", by=index)
    append_once(directory, index, PartSet.of([], [4]))
    checks, strays = check_all(directory)
    assert [check.verdict for check in checks] == ["good"]
    assert strays == [
        f"the vault has parts erased by record {index}, which announces no erasure",
        f"the ledger has 1 part under record {index}, which announces no erasure",
    ]


def test_an_erasure_that_was_not_finished(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    request = approved(directory)
    monkeypatch.setattr(execution, "STEPS", execution.STEPS[:4])
    executed(directory, request.id)
    check = check_request(directory, request)
    assert check is not None
    assert check.verdict == "unfinished"
    assert check.faults


def test_a_request_without_an_erasure_has_nothing_to_verify(directory: DataDirectory) -> None:
    assert check_request(directory, approved(directory)) is None
    assert check_all(directory) == ([], [])
