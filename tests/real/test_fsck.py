"""Our log directory is judged by programs that share no line with ours: Tessera's fsck and Go's note and tlog."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from pathlib import Path

import pytest

from pxl_audit.agent.client import append_and_wait, seal_all
from pxl_audit.cli.main import main
from pxl_audit.directory import DataDirectory
from pxl_audit.event import make_event
from pxl_audit.log.keys import load_vkey
from pxl_audit.log.merkle import leaf_hash
from pxl_audit.log.reader import LogReader
from tests.real.go_fsck import judge

pytestmark = [pytest.mark.real, pytest.mark.slow]

SIZES = (1, 255, 256, 257, 700)
"""One entry; one short of a whole bundle, a whole one, one more; and bundles of which the last is not whole."""


def _grow(directory: DataDirectory, size: int) -> None:
    """Append events until the log has `size` entries."""
    have = seal_all(directory)
    append_and_wait(directory, [make_event("audit.test.entry", facts={"number": n}) for n in range(have, size)])


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataDirectory, dict[int, Path]]:
    """One data directory that grew over `SIZES`, and a copy of its log as it stood at each size."""
    root = tmp_path_factory.mktemp("fsck")
    directory = DataDirectory.open_or_create(root / "data")
    logs = {}
    for size in SIZES:
        _grow(directory, size)
        logs[size] = root / f"log-{size}"
        shutil.copytree(directory.log, logs[size])
    return directory, logs


@pytest.mark.parametrize("size", SIZES)
def test_tessera_accepts_our_log(grown: tuple[DataDirectory, dict[int, Path]], size: int) -> None:
    directory, logs = grown
    verdict = judge(logs[size], load_vkey(directory))
    assert (verdict.code, verdict.line) == (0, f"good: {size} entries")


@pytest.mark.parametrize("size", SIZES)
def test_go_accepts_checkpoint_and_inclusion(grown: tuple[DataDirectory, dict[int, Path]], size: int) -> None:
    directory, logs = grown
    vkey = load_vkey(directory)
    verdict = judge("proof", logs[size], vkey)
    assert (verdict.code, verdict.line) == (0, f"good: checkpoint of {size} entries")
    reader = LogReader(logs[size])
    for index in {0, size // 2, size - 1}:
        (leaf,) = reader.leaves(index, index + 1)
        hashes = [leaf_hash(leaf), *reader.inclusion_proof(index, size)]
        words = [b64encode(word).decode() for word in hashes]
        verdict = judge("proof", logs[size], vkey, str(index), *words)
        assert (verdict.code, verdict.line) == (0, f"good: entry {index} of {size} is included")
        # The same proof for the neighbour must not hold, or the program would accept anything.
        if size > 1:
            assert judge("proof", logs[size], vkey, str(index ^ 1), *words).code == 1


def _files(log: Path) -> list[str]:
    return sorted(str(path.relative_to(log)) for path in log.rglob("*") if path.is_file())


def _needed(size: int) -> list[str]:
    """Files that a log of 257 to 65535 entries consists of (C2SP tlog-tiles)."""
    whole, rest = divmod(size, 256)
    names = ["checkpoint", f"tile/1/000.p/{whole}"]
    for n in range(whole):
        names += [f"tile/0/{n:03}", f"tile/entries/{n:03}"]
    return [*names, f"tile/0/{whole:03}.p/{rest}", f"tile/entries/{whole:03}.p/{rest}"]


def test_every_flipped_file_is_refused(grown: tuple[DataDirectory, dict[int, Path]], tmp_path: Path) -> None:
    directory, logs = grown
    vkey = load_vkey(directory)
    names = _needed(700)
    assert set(names) <= set(_files(logs[700]))
    for name in names:
        log = tmp_path / "log"
        shutil.copytree(logs[700], log)
        changed = bytearray((log / name).read_bytes())
        changed[len(changed) // 2] ^= 0x04
        (log / name).write_bytes(changed)
        verdict = judge(log, vkey)
        assert verdict.code == 1, f"{name} with a flipped bit: {verdict}"
        shutil.rmtree(log)


def test_wrong_key_and_missing_log_are_told_apart(grown: tuple[DataDirectory, dict[int, Path]], tmp_path: Path) -> None:
    directory, logs = grown
    other = DataDirectory.open_or_create(tmp_path / "other")
    seal_all(other)
    assert judge(logs[1], load_vkey(other)).code == 1
    assert judge(tmp_path, load_vkey(directory)).code == 2


def test_our_verifier_agrees_with_tessera(
    grown: tuple[DataDirectory, dict[int, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vkey = load_vkey(grown[0])
    directory = DataDirectory.open(shutil.copytree(grown[0].root, tmp_path / "data"))
    assert main(["verify", str(directory.root), "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert judge(directory.log, vkey).line == f"good: {ours['size']} entries"

    leaves = next(path for path in directory.log.glob("tile/entries/*") if path.is_file())
    changed = bytearray(leaves.read_bytes())
    changed[100] ^= 0x01
    leaves.write_bytes(changed)
    assert main(["verify", str(directory.root), "--json"]) == 1
    capsys.readouterr()
    assert judge(directory.log, vkey).code == 1
