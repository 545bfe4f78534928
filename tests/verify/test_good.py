"""What is good is found good, in every shape that the format allows."""

from __future__ import annotations

import shutil
from base64 import b64encode
from pathlib import Path

import pytest

from pxl_audit.errors import DirectoryError, UnavailableError
from pxl_audit.verify import verify_directory
from tests.verify import build

pytestmark = pytest.mark.slow


def test_good_directory(good: Path) -> None:
    report = verify_directory(good)
    assert report.findings == []
    assert (report.ok, report.exit_code, report.size, report.records) == (True, 0, 300, 300)
    assert report.origin == build.ORIGIN
    leaves = [record.leaf for record in build.large().records[:300]]
    assert report.root == b64encode(build.tree_root(leaves)).decode()


def test_counts(good: Path) -> None:
    report = verify_directory(good)
    # Six events have no parts; erased: 3, 7, 120 by event 250, and 30 by the pending event 260.
    nothing = {"missing": 0, "mismatch": 0}
    assert report.openings["actor"] == {"open": 289, "absent": 5, "erased": 4, "expired": 2, "withheld": 0} | nothing
    assert report.openings["target"] == {"open": 293, "absent": 5, "erased": 1, "expired": 0, "withheld": 1} | nothing
    told = [
        (one.event, one.kind, one.actor_parts, one.target_parts, one.completed, one.pending) for one in report.erasures
    ]
    assert told == [
        (250, "erasure", 3, 1, 251, False),
        (252, "expiry", 2, 0, None, False),
        (260, "erasure", 1, 0, None, True),
    ]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513])
def test_sizes(tmp_path: Path, size: int) -> None:
    report = verify_directory(build.small(size).write(tmp_path / "data"))
    assert (report.ok, report.records, report.openings["actor"]["open"]) == (True, size, size)


def test_three_levels(tmp_path: Path) -> None:
    """Level 2 begins at 65 536 entries; only the log is made, so the vault is all that is missing."""
    leaf = build.http_record(1).leaf
    (tmp_path / "data").mkdir()
    build.Sample([], 0).write(tmp_path / "data/x")
    root = tmp_path / "data/x"
    build.write_log(root / "log", [leaf] * 65_800)
    report = verify_directory(root)
    assert {finding.kind for finding in report.findings} == {"vault-row-missing"}
    assert report.records == 65_800
    flip(root / "log/tile/1/000", 32 * 255)
    assert ("tile-hash", "log/tile/1/000", 255 * 256) in {
        (f.kind, f.file, f.index) for f in verify_directory(root).findings
    }


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_only_sealed(tmp_path: Path) -> None:
    sample = build.small(300)
    sample.sealed, sample.open_first = [(0, 128), (128, 300)], 300
    assert verify_directory(sample.write(tmp_path / "data")).ok


def test_stated_defaults(tmp_path: Path) -> None:
    """A member may state what leaving it out means."""
    sample = build.small(300)
    for record in sample.records:
        record.members |= {"e": "http.request", "i": 0, "k": "anonymous", "v": 1}
    sample.sealed, sample.open_first = [(0, 280)], 280
    assert verify_directory(sample.write(tmp_path / "data")).findings == []


def test_earlier_partial_tiles(root: Path) -> None:
    """Partial tiles of earlier checkpoints may lie there; they are prefixes."""
    for level in ("entries", "0"):
        data = (root / f"log/tile/{level}/000").read_bytes()
        leaves = [record.leaf for record in build.large().records]
        width = 32 * 9 if level == "0" else len(build.bundle(leaves[:9]))
        build.put(root / f"log/tile/{level}/000.p/9", data[:width])
    assert verify_directory(root).ok
    flip(root / "log/tile/entries/000.p/9", 40)
    flip(root / "log/tile/0/000.p/9", 40)
    assert [(f.kind, f.file) for f in verify_directory(root).findings] == [
        ("partial-differs", "log/tile/entries/000.p/9"),
        ("partial-differs", "log/tile/0/000.p/9"),
    ]


def test_torn_tail_of_open_vault(root: Path) -> None:
    path = root / "vault/open/000000000280.jsonl"
    with path.open("ab") as file:
        file.write(build.open_row(310, build.http_record(310))[:-20])
    assert verify_directory(root).ok


def test_left_over_open_file(root: Path) -> None:
    """Sealed, and not removed yet: the same rows in both, the sealed ones count."""
    build.write_open(root / "vault/open/000000000200.jsonl", 200, build.large().records[200:280])
    assert verify_directory(root).ok


@pytest.mark.parametrize("name", ["with space", "a=1", "a[1]*?", "quote'\"", "ü"])
def test_odd_paths(good: Path, tmp_path: Path, name: str) -> None:
    """DuckDB takes paths for patterns and `name=value` for a column; neither may matter."""
    shutil.copytree(good, tmp_path / name / "data")
    assert verify_directory(tmp_path / name / "data").ok


def test_relative_path(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(good.parent)
    assert verify_directory(Path("data")).ok


def test_nothing_is_changed(good: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in good.rglob("*")}
    verify_directory(good)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in good.rglob("*")} == before


def test_given_key(good: Path) -> None:
    assert verify_directory(good, key=build.vkey()).ok
    report = verify_directory(good, key=build.vkey(b"\x12" * 32))
    assert [finding.kind for finding in report.findings] == ["key", "checkpoint"]
    with pytest.raises(UnavailableError, match="--key"):
        verify_directory(good, key="nonsense")


def test_held_checkpoint(good: Path) -> None:
    """A checkpoint kept elsewhere: any earlier size of this log, and no other history or larger size."""
    leaves = [record.leaf for record in build.large().records]
    for size in (0, 1, 255, 256, 257, 300):
        assert verify_directory(good, held={"kept": build.checkpoint(leaves[:size])}).ok, size
    for other in (leaves[:301], [*leaves[:99], leaves[0]]):
        report = verify_directory(good, held={"kept": build.checkpoint(other)})
        assert [(f.kind, f.file, f.index) for f in report.findings] == [
            ("held-checkpoint", "kept", min(len(other), 300))
        ]
    report = verify_directory(good, held={"kept": build.checkpoint(leaves[:9]).replace(b"9", b"8", 1)})
    assert [f.kind for f in report.findings] == ["held-checkpoint"]


def test_cannot_judge(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="no such directory"):
        verify_directory(tmp_path / "nowhere")
    with pytest.raises(DirectoryError, match="not a data directory"):
        verify_directory(tmp_path)
    (root / "keys/log.vkey").unlink()
    with pytest.raises(DirectoryError, match="no key"):
        verify_directory(root)
    assert verify_directory(root, key=build.vkey()).ok
    (root / "pxl-audit.json").write_text('{"format":2,"log_id":7,"more":1}')
    with pytest.raises(DirectoryError, match=r"format 2 is newer than this version knows \(1\)"):
        verify_directory(root)


def test_log_not_begun(root: Path) -> None:
    shutil.rmtree(root / "log")
    (root / "log").mkdir()
    with pytest.raises(DirectoryError, match="not begun"):
        verify_directory(root)


def test_newer_entry(tmp_path: Path) -> None:
    sample = build.small(5)
    sample.records[3].members |= {"v": 2, "zz": [1.5]}
    report = verify_directory(sample.write(tmp_path / "data"))
    assert (report.ok, report.exit_code, report.findings, report.records) == (False, 2, [], 4)
    assert "entry 3" in report.unjudged[0]
    assert "newer" in report.unjudged[0]


def test_progress(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    verify_directory(build.small(5).write(tmp_path / "data"), progress=lambda done, size: calls.append((done, size)))
    assert calls == [(5, 5)]
