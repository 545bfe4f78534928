"""Whatever is done to log/ is found, and found where it was done."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from pxl_audit.verify import Report, verify_directory
from tests.verify import build

pytestmark = pytest.mark.slow

Places = set[tuple[str, str, int | None]]


def places(report: Report) -> Places:
    assert not report.ok
    assert report.exit_code == 1
    return {(finding.kind, finding.file, finding.index) for finding in report.findings}


def leaves_of(sample: build.Sample) -> list[bytes]:
    return [record.leaf for record in sample.records[: sample.size]]


def rewrite_bundle(root: Path, change: Callable[[list[bytes]], list[bytes]], number: int = 0) -> None:
    """Change the entries of a bundle of the large sample, and nothing else."""
    start = 256 * number
    entries = leaves_of(build.large())[start : start + 256]
    build.tile(root / "log", "entries", number, len(entries)).write_bytes(build.bundle(change(entries)))


@pytest.mark.parametrize("name", ["log/tile/entries/000.p/6", "log/tile/0/000.p/6", "log/checkpoint"])
def test_every_bit_of_a_small_log(tmp_path: Path, name: str) -> None:
    root = build.small().write(tmp_path / "data")
    path = root / name
    data = path.read_bytes()
    for position in range(len(data)):
        # All bits of the checkpoint; of the others one bit a byte, another one for each.
        for bit in range(8) if name == "log/checkpoint" else [position % 8]:
            path.write_bytes(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :])
            found = verify_directory(root).findings
            assert found, (position, bit)
            assert name in {finding.file for finding in found}, (position, bit)


@pytest.mark.parametrize("name", ["pxl-audit.json", "keys/log.vkey"])
def test_every_byte_of_what_names_the_log(root: Path, name: str) -> None:
    """The log id is believed by nothing but the ledger."""
    path = root / name
    data = path.read_bytes()
    for position in range(0, len(data), 2):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert verify_directory(root).exit_code == 1, position


@pytest.mark.parametrize("name", ["entries/000", "0/000", "0/001.p/44", "1/000.p/1", "entries/001.p/44"])
def test_bits_of_a_large_log(root: Path, name: str) -> None:
    path = root / "log/tile" / name
    data = path.read_bytes()
    for position in {0, 1, 2, 31, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x80]) + data[position + 1 :])
        assert f"log/tile/{name}" in {finding.file for finding in verify_directory(root).findings}, position


@pytest.mark.parametrize("name", ["entries/000", "entries/001.p/44", "0/000", "0/001.p/44", "1/000.p/1"])
def test_missing_file(root: Path, name: str) -> None:
    (root / "log/tile" / name).unlink()
    first = 256 if "001" in name else 0
    assert ("log-file-missing", f"log/tile/{name}", first) in places(verify_directory(root))


@pytest.mark.parametrize("name", ["entries/000", "entries/001.p/44", "0/000", "0/001.p/44", "1/000.p/1"])
def test_truncated_file(root: Path, name: str) -> None:
    path = root / "log/tile" / name
    for size in (0, 1, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        kind = "bundle-length" if "entries" in name else "tile-length"
        assert (kind, f"log/tile/{name}") in {place[:2] for place in places(verify_directory(root))}, size


def test_missing_checkpoint(root: Path) -> None:
    (root / "log/checkpoint").unlink()
    assert places(verify_directory(root)) == {("checkpoint", "log/checkpoint", None)}


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda some: [*some[:9], some[10], some[9], *some[11:]], 9),  # swapped
        (lambda some: [*some[:9], some[8], *some[10:]], 9),  # one twice, instead of another
        (lambda some: [*some[:9], build.http_record(999).leaf, *some[10:]], 9),  # another
        (lambda some: [*some[:9], some[9].replace(b'"c":200', b'"c":500'), *some[10:]], 9),  # altered
    ],
)
def test_changed_entries(root: Path, change: Callable[[list[bytes]], list[bytes]], first: int) -> None:
    rewrite_bundle(root, change)
    found = places(verify_directory(root))
    assert ("entry-hash", "log/tile/entries/000", first) in found
    assert min(index for kind, _, index in found if kind == "entry-hash" and index is not None) == first
    assert ("root", "log/checkpoint", None) in found


@pytest.mark.parametrize(
    ("change", "number", "index"),
    [
        (lambda some: [*some[:9], *some[10:]], 0, 255),  # dropped
        (lambda some: [*some, some[0]], 0, 256),  # one more in a full bundle
        (lambda some: [*some, build.http_record(300).leaf], 1, 300),  # surplus at the end, which fsck does not see
        (lambda some: [*some[:9], some[0], *some[9:]], 0, 256),  # inserted
    ],
)
def test_number_of_entries(root: Path, change: Callable[[list[bytes]], list[bytes]], number: int, index: int) -> None:
    rewrite_bundle(root, change, number)
    name = build.tile(Path("log"), "entries", number, 256 if number == 0 else 44)
    assert ("bundle-length", str(name), index) in places(verify_directory(root))


def test_bytes_behind_the_last_entry(root: Path) -> None:
    path = root / "log/tile/entries/001.p/44"
    path.write_bytes(path.read_bytes() + b"\x00")
    assert places(verify_directory(root)) == {("bundle-length", "log/tile/entries/001.p/44", 300)}


def test_entry_and_its_tile_changed_together(root: Path) -> None:
    """The level above still knows the tile that was."""
    leaves = leaves_of(build.large())
    leaves[9] = leaves[9].replace(b'"c":200', b'"c":500')
    build.tile(root / "log", "entries", 0, 256).write_bytes(build.bundle(leaves[:256]))
    build.tile(root / "log", 0, 0, 256).write_bytes(b"".join(map(build.leaf_hash, leaves[:256])))
    found = places(verify_directory(root))
    assert {("tile-hash", "log/tile/1/000.p/1", 0), ("root", "log/checkpoint", None)} <= found
    assert ("vault-column", "vault/sealed/000000000000-000000000100.parquet", 9) in found


def test_damaged_tile_is_told_from_damaged_entries(root: Path) -> None:
    path = root / "log/tile/0/000"
    data = path.read_bytes()
    path.write_bytes(data[: 32 * 7] + bytes(32) + data[32 * 8 :])
    assert places(verify_directory(root)) == {("tile-hash", "log/tile/0/000", 7)}


def test_whole_log_rewritten_but_not_signed(root: Path) -> None:
    leaves = leaves_of(build.large())
    leaves[9] = leaves[9].replace(b'"c":200', b'"c":500')
    signed = (root / "log/checkpoint").read_bytes()
    shutil.rmtree(root / "log")
    build.write_log(root / "log", leaves)
    build.put(root / "log/checkpoint", signed)
    assert ("root", "log/checkpoint", None) in places(verify_directory(root))


def test_rollback(root: Path) -> None:
    """An older, validly signed checkpoint over the newer files: Tessera's fsck passes it."""
    (root / "log/checkpoint").write_bytes(build.checkpoint(leaves_of(build.large())[:290]))
    found = places(verify_directory(root))
    assert ("beyond-checkpoint", "log/tile/entries/001.p/44", 290) in found
    assert ("beyond-checkpoint", "log/tile/0/001.p/44", 290) in found


def test_rollback_of_everything_needs_a_held_checkpoint(tmp_path: Path) -> None:
    sample = build.large()
    newest = build.checkpoint(leaves_of(sample))
    older = build.small(9).write(tmp_path / "data")
    assert verify_directory(older).ok
    report = verify_directory(older, held={"kept.txt": newest})
    assert places(report) == {("held-checkpoint", "kept.txt", 9)}


@pytest.mark.parametrize(
    "name",
    ["tile/0/002", "tile/entries/002", "tile/entries/001", "tile/0/001.p/45", "tile/2/000.p/1", "tile/0/x001/000"],
)
def test_orphan(root: Path, name: str) -> None:
    build.put(root / "log" / name, bytes(32))
    assert ("beyond-checkpoint", f"log/{name}", 300) in places(verify_directory(root))


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "tile/0/000.p/256",
        "tile/0/000.p/0",
        "tile/0/000.p/044",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/000",
        "tile/0/000.gz",
        "checkpoint.old",
        "tile/0/000.p/٣",
        "tile/data/000",
    ],
)
def test_stray_file(root: Path, name: str) -> None:
    build.put(root / "log" / name, b"")
    assert {place[0] for place in places(verify_directory(root))} == {"stray-file"}


def sign_lines(*lines: str) -> bytes:
    return build.sign("".join(f"{line}\n" for line in lines))


def test_checkpoints_that_are_signed_and_wrong(root: Path) -> None:
    leaves = leaves_of(build.large())
    digest = b64encode(build.tree_root(leaves)).decode()
    assert digest.endswith("=")
    spare = digest[:-2] + chr(ord(digest[-2]) + 1) + "="  # other unused bits, the same bytes
    for note in (
        sign_lines(build.ORIGIN, "0300", digest),
        sign_lines(build.ORIGIN, "+300", digest),
        sign_lines(build.ORIGIN, "3_00", digest),
        sign_lines(build.ORIGIN, "٣٠٠", digest),
        sign_lines(build.ORIGIN, "300", digest, "an extension"),
        sign_lines(build.ORIGIN, "300", digest[:-1]),
        sign_lines(build.ORIGIN, "300", spare),
        sign_lines(build.ORIGIN, "300", digest + " "),
        sign_lines(build.ORIGIN, "300"),
        sign_lines("pxl.example/audit/2", "300", digest),
        sign_lines(build.ORIGIN, "300", digest) + "\u2014 broken\n".encode(),
        sign_lines(build.ORIGIN, "300", digest).replace(b" ", b"  "),
        sign_lines(build.ORIGIN, "300", digest)[:-1],
        build.sign(f"{build.ORIGIN}\n300\n{digest}\n", b"\x33" * 32),
        f"{build.ORIGIN}\n300\n{digest}\n".encode(),
        b"",
    ):
        (root / "log/checkpoint").write_bytes(note)
        assert places(verify_directory(root)) == {("checkpoint", "log/checkpoint", None)}, note


def test_cosignatures_are_ignored(root: Path) -> None:
    path = root / "log/checkpoint"
    other = build.sign("x\n", b"\x44" * 32, "witness.example/w1").split(b"\n\n")[1]
    path.write_bytes(path.read_bytes() + other)
    assert verify_directory(root).ok


@pytest.mark.parametrize(
    "members",
    [
        {"x": 1},
        {"c": 1.5},
        {"c": 2**53},
        {"c": None},
        {"c": True},
        {"k": "robot"},
        {"f": {"a": [1]}},
        {"f": {"a": 2**53}},
        {"r": "/é"},
        {"t": None},
        {"v": 0},
        {"n": "?"},
        {"s": 7},
    ],
)
def test_malformed_entry(tmp_path: Path, members: build.Members) -> None:
    """Signed and hashed as it should be, and yet no entry of the format."""
    sample = build.small()
    sample.records[4].members |= members
    root = sample.write(tmp_path / "data")
    assert ("entry-malformed", "log/tile/entries/000.p/6", 4) in places(verify_directory(root))


@pytest.mark.parametrize(
    "change",
    [
        lambda leaf: leaf + b" ",
        lambda leaf: b" " + leaf,
        lambda leaf: leaf.replace(b'"c":200', b'"c": 200'),
        lambda leaf: leaf.replace(b'"c":200', b'"c":2e2'),
        lambda leaf: leaf.replace(b'"c":200', b'"c":200,"c":200'),
        lambda leaf: leaf.replace(b'"m":"GET"', b'"m":"G\\u0045T"'),
        lambda leaf: leaf.replace(b'"d":1004,"m":"GET"', b'"m":"GET","d":1004'),
        lambda leaf: leaf.replace(b'"a":"', b'"a":"A'),
        lambda leaf: leaf.replace(b',"s":"gateway"', b""),
        lambda leaf: leaf[:48] + b"B" + leaf[49:],  # 43 characters, but not of 32 bytes
        lambda _: b"[]",
        lambda _: b"[" * 60_000,
        lambda _: b"",
    ],
)
def test_entry_in_another_form(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    sample = build.small()
    root = sample.write(tmp_path / "data")
    leaves = leaves_of(sample)
    leaves[4] = change(leaves[4])
    shutil.rmtree(root / "log")
    build.write_log(root / "log", leaves)
    assert places(verify_directory(root)) == {("entry-malformed", "log/tile/entries/000.p/6", 4)}
