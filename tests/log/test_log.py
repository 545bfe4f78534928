"""The log: trees, tiles, notes and proofs against a naive model and against published test vectors."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxl_audit.errors import LogError, UsageError
from pxl_audit.log.checkpoint import Checkpoint, parse_checkpoint
from pxl_audit.log.merkle import Frontier, leaf_hash, tree_hash, verify_inclusion
from pxl_audit.log.note import NoteError, NoteVerifier, Signer, open_note
from pxl_audit.log.reader import LogReader
from pxl_audit.log.tiles import decode_bundle, encode_entry, entries_path, tile_path
from pxl_audit.log.writer import LogWriter

SIGNER = Signer("pxl.example/audit/1", b"\x11" * 32)
SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 700]


def entries(count: int) -> list[bytes]:
    return [f'{{"i":{i},"commit":"{hashlib.sha256(b"salt%d" % i).hexdigest()}"}}'.encode() for i in range(count)]


def test_rfc_6962_vectors() -> None:
    """Hashes of RFC 6962's own test inputs."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [bytes.fromhex(text) for text in inputs]
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tree_hash([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert tree_hash(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert tree_hash(leaves[:3]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert tree_hash(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (255, "mo+spy1UXEFEsmUqzvg6N++wqd8XExOjVXvprU614uY="),
        (256, "1zDSNAkFoVV6ANxQxuuti+eCr9w340tozWo8BO03KmA="),
        (257, "f/Fc41o98W1cU7N8yq6m6DGEwXRPvslRE1xyB6bHayQ="),
        (1000, "CcnfQ/PGQ2ig1YXy8nQmUI03Lho45vlo0XG+sMEVOQ8="),
    ],
)
def test_known_roots(tmp_path: Path, size: int, root: str) -> None:
    """Roots that Go's sumdb/tlog and Tessera's fsck agree with."""
    assert LogWriter(tmp_path, SIGNER).append(entries(size)).root == b64decode(root)


def test_known_note() -> None:
    """A checkpoint note that Go's sumdb/note accepts, byte for byte (Ed25519 is deterministic)."""
    note = SIGNER.sign(Checkpoint(SIGNER.name, 3, tree_hash(entries(3))).text())
    assert SIGNER.vkey == "pxl.example/audit/1+87e115b1+AdBKsjJ0K7SrOhNovUYV5ObQIkq3GgFrr4UgozLJd4c3"
    assert note.decode().splitlines()[-1] == (
        "— pxl.example/audit/1 h+EVsUcH7io35OKxSjr/lAzRXtsUVfng4cA2798i5Z4pZje4U7pn8OlpN9W4aSm6"
        "lPcGn3NI0/sYI1uJJ3Z1OcvNQgQ="
    )


def test_note_of_the_specification() -> None:
    """The example of C2SP signed-note.md."""
    vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    signature = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    note = f"This is an example message.\n\n— example.com/foo {signature}\n".encode()
    assert open_note(note, [NoteVerifier(vkey)]) == "This is an example message.\n"


def test_paths() -> None:
    """Names as C2SP tlog-tiles has them."""
    assert tile_path(0, 0) == "tile/0/000"
    assert tile_path(1, 1234067, 5) == "tile/1/x001/x234/067.p/5"
    assert entries_path(1000) == "tile/entries/x001/000"
    with pytest.raises(ValueError, match="1 to 256"):
        tile_path(0, 0, 0)


@pytest.mark.parametrize("step", [1, 7, 256, 700])
def test_any_split_into_batches_gives_the_same_log(tmp_path: Path, step: int) -> None:
    """Reopened after each batch; at every size the checkpoint's root is the naive tree's."""
    all_entries = entries(530 if step > 1 else 300)
    for start in range(0, len(all_entries), step):
        writer = LogWriter(tmp_path, SIGNER)
        assert writer.size == start
        checkpoint = writer.append(all_entries[start : start + step])
        assert checkpoint.root == tree_hash(all_entries[: start + step])
    reader = LogReader(tmp_path)
    assert reader.checkpoint(SIGNER.vkey).size == len(all_entries)
    assert list(reader.leaves(0, len(all_entries))) == all_entries
    assert list(reader.leaves(250, 260)) == all_entries[250:260]


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_proofs(tmp_path: Path, size: int) -> None:
    """Each proof verifies, and verifies nothing else."""
    all_entries = entries(size)
    root = LogWriter(tmp_path, SIGNER).append(all_entries).root
    reader = LogReader(tmp_path)
    for index in {0, size // 2, size - 1, max(0, size - 2), 255 % size}:
        proof = reader.inclusion_proof(index, size)
        leaf = leaf_hash(all_entries[index])
        assert verify_inclusion(index, size, leaf, proof, root)
        assert not verify_inclusion(index, size, leaf_hash(b"other"), proof, root)
        assert not verify_inclusion(index, size, leaf, [*proof, leaf], root)
        assert size == 1 or not verify_inclusion(index, size, leaf, proof[:-1], root)


@given(st.integers(0, 300))
@settings(max_examples=30)
def test_frontier_is_the_naive_tree(size: int) -> None:
    """The O(1) right edge and the whole tree agree."""
    frontier = Frontier()
    for entry in entries(size):
        frontier.append(leaf_hash(entry))
    assert frontier.root() == tree_hash(entries(size))


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_bundle_round_trip(content: list[bytes]) -> None:
    assert decode_bundle(b"".join(map(encode_entry, content))) == content


def test_a_crash_leaves_files_that_are_simply_written_again(tmp_path: Path) -> None:
    """Tiles of a batch whose checkpoint was never written do not disturb the next agent."""
    LogWriter(tmp_path, SIGNER).append(entries(10))
    before = (tmp_path / "checkpoint").read_bytes()
    LogWriter(tmp_path, SIGNER).append(entries(300)[10:])
    (tmp_path / "checkpoint").write_bytes(before)
    assert LogWriter(tmp_path, SIGNER).append(entries(400)[10:]).root == tree_hash(entries(400))


def test_foreign_key_is_refused(tmp_path: Path) -> None:
    """A log is never continued with another key."""
    LogWriter(tmp_path, SIGNER).append(entries(3))
    with pytest.raises(LogError, match="put the right key back"):
        LogWriter(tmp_path, Signer("pxl.example/audit/1", b"\x12" * 32))


@pytest.mark.parametrize("victim", ["tile/0/000.p/3", "tile/entries/000.p/3", "checkpoint"])
def test_damaged_edge_is_refused(tmp_path: Path, victim: str) -> None:
    """The agent signs nothing on top of a damaged log."""
    LogWriter(tmp_path, SIGNER).append(entries(3))
    path = tmp_path / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if victim == "tile/entries/000.p/3":
        pytest.importorskip("pxl_audit.verify")  # the edge's entries are checked by the verifier, not at each start
        return
    with pytest.raises(LogError):
        LogWriter(tmp_path, SIGNER)


GOOD = SIGNER.sign(Checkpoint(SIGNER.name, 3, tree_hash(entries(3))).text()).decode()


@pytest.mark.parametrize(
    "note",
    [
        GOOD.replace("\n3\n", "\n4\n"),
        GOOD.replace("\n3\n", "\n03\n"),
        GOOD.replace("\n\n", "\n"),
        GOOD[:-1],
        GOOD.replace("— ", "- "),
        GOOD.replace("QgQ=", "QgR="),
        GOOD.replace("QgQ=", "QgQ"),
        GOOD.replace("pxl.example/audit/1 ", "other "),
        "\x01" + GOOD,
        "",
    ],
    ids=range(10),
)
def test_bad_notes_are_refused(note: str) -> None:
    """Hostile bytes raise our error and nothing else."""
    with pytest.raises(NoteError):
        open_note(note.encode(), [NoteVerifier(SIGNER.vkey)])


@pytest.mark.parametrize(
    "text",
    ["o\n3\n", "o\n3\nAAAA\n", "\n3\n" + "A" * 43 + "=\n", f"o\n03\n{b64encode(bytes(32)).decode()}\n", "o\n3\nx\ny\n"],
)
def test_bad_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize("vkey", ["", "a+b", "a+00000000+AAAA", SIGNER.vkey.replace("87e115b1", "87e115b2")])
def test_bad_verifier_keys_are_refused(vkey: str) -> None:
    with pytest.raises(UsageError):
        NoteVerifier(vkey)


def test_private_key_never_stands_in_an_error() -> None:
    """A damaged key file is named, its content is not."""
    with pytest.raises(NoteError) as caught:
        Signer.from_skey("PRIVATE+KEY+name+abc+SECRETSECRET")
    assert "SECRET" not in str(caught.value)
    assert Signer.from_skey(SIGNER.skey).vkey == SIGNER.vkey
