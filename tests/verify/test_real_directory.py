"""The verifier on directories that the real writer made: at rest, erased, and in use."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.vault.destroy import destroy_openings
from pxl_audit.verify import run, vault_rows, verify_directory
from tests.verify import build
from tests.verify.test_log_tampering import places

ACTOR = {"user.id": "u-1", "client.address": "192.0.2.7", "user_agent.original": 'Ü\u2028\x01"\\'}


def events(count: int) -> list[bytes]:
    return [
        make_event(
            "proof.verified",
            service="core",
            actor=ACTOR | {"user.id": f"u-{i % 5}"},
            target={
                "audit.target.id": str(i),
                "pxl.attributes": {"z": [None, True, -1], "ä".encode("ascii", "replace").decode(): ""},
            },
            facts={"quoted": 'a"b\\', "n": i},
        )
        for i in range(count)
    ]


def test_sealed_and_open(data: DataDirectory) -> None:
    append_and_wait(data, [*events(300), make_event("x.y", service="core")])
    assert verify_directory(data.root).findings == []
    sealed = seal_all(data)
    append_and_wait(data, events(5))
    report = verify_directory(data.root)
    assert report.findings == []
    assert report.size == report.records == sealed + 5
    assert report.openings["actor"]["open"] == 305


def test_erasure(data: DataDirectory) -> None:
    append_and_wait(data, events(20))
    seal_all(data)
    facts = {"request": "r1", "plan": "00" * 32, **build.announced([3, 8], [8])}
    (started,) = append_and_wait(data, [make_event("dsr.erasure.started", facts=facts)])
    seal_all(data)
    assert verify_directory(data.root).erasures[0].pending
    line = {"actor": [[3, 4], [8, 9]], "event": started, "log": data.log_id, "target": [[8, 9]]}
    build.put(data.ledger / "erasures.jsonl", build.encode(line) + b"\n")
    destroy_openings(data, {"actor": [3, 8], "target": [8]}, state="erased", by=started)
    append_and_wait(data, [make_event("dsr.erasure.completed", facts={"request": "r1", "started": started})])
    report = verify_directory(data.root)
    assert report.findings == []
    assert (report.openings["actor"]["erased"], report.openings["target"]["erased"]) == (2, 1)
    assert report.erasures[0].completed is not None
    destroy_openings(data, {"target": [3]}, state="erased", by=started)
    assert ("destroyed-extra", 3) in {(kind, index) for kind, _, index in places(verify_directory(data.root))}


@pytest.mark.slow
def test_while_it_is_written(data: DataDirectory) -> None:
    """Appending, publishing and sealing go on; no run may find anything."""
    append_and_wait(data, events(10))
    done = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(6):
                append_and_wait(data, events(150))
                seal_all(data)
        except BaseException as error:  # noqa: BLE001  # handed to the test
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=write)
    thread.start()
    sizes = []
    while not done.is_set():
        report = verify_directory(data.root)
        assert report.findings == []
        sizes.append(report.size or 0)
    thread.join()
    assert errors == []
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 1
    assert verify_directory(data.root).records > 900


@contextmanager
def agent_lock(root: Path) -> Iterator[None]:
    fd = os.open(root / "agent.lock", os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def test_running_agent_may_be_ahead(root: Path) -> None:
    build.put(root / "log/tile/0/001.p/50", bytes(1600))
    build.put(root / "log/tile/0/.002.77.tmp", b"")
    build.put(root / "vault/sealed/.000000000280-000000000310.parquet.tmp", b"")
    with agent_lock(root):
        assert verify_directory(root).findings == []
    assert {place[0] for place in places(verify_directory(root))} == {"beyond-checkpoint", "stray-file"}


def test_agent_that_moves_on_between_reads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partial tile of the checkpoint that was read is gone when it is looked for; a newer checkpoint is there."""
    records = build.large().records
    older = build.checkpoint([record.leaf for record in records[:300]])
    real = Path.read_bytes
    given = [older]

    def read_bytes(path: Path) -> bytes:
        return given.pop() if path.name == "checkpoint" and given else real(path)

    for level in ("entries", "0"):
        (root / f"log/tile/{level}/001.p/44").unlink()
    build.write_log(root / "log", [record.leaf for record in records[:305]])
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    report = verify_directory(root)
    assert (report.findings, report.size) == ([], 305)


def test_file_sealed_between_listing_and_reading(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The open file is gone when it is opened, and its rows are in a sealed one."""
    real = vault_rows.list_vault
    opened = root / "vault/open/000000000280.jsonl"

    def list_then_seal(vault: Path) -> object:
        listed = real(vault)
        if opened.exists() and listed[0][0].end == 100:
            opened.unlink()
            records = build.large().records
            build.write_sealed(root / "vault/sealed/000000000280-000000000300.parquet", 280, records[280:300])
            build.write_open(root / "vault/open/000000000300.jsonl", 300, records[300:])
        return listed

    def late(vault: Path) -> object:
        # Only once the sealed files were read, so that it is the open file that vanishes.
        calls.append(1)
        return list_then_seal(vault) if len(calls) == 3 else real(vault)

    calls: list[int] = []
    monkeypatch.setattr(vault_rows, "list_vault", late)
    assert verify_directory(root).findings == []
    assert not opened.exists()


def test_checkpoint_put_back_while_verifying(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = build.checkpoint([record.leaf for record in build.large().records[:290]])
    monkeypatch.setattr(run, "read_checkpoint", lambda _: older)
    assert places(verify_directory(root)) == {("checkpoint", "log/checkpoint", None)}
