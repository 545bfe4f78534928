"""Verifying a pack: whatever is changed is found, and the finding names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from pxl_audit.errors import DirectoryError, UsageError
from reports.pack import note_text
from reports.render.json import canonical_json
from reports.verify import verify_pack
from tests.reports.packs import OTHER, SIGNER, build, ordinary_records, source


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("packs") / "pack", source(ordinary_records())).path


@pytest.fixture
def pack(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def named(pack: Path, key: str | None = None) -> set[str]:
    return {finding.file for finding in verify_pack(pack, key).findings}


def resign(pack: Path) -> None:
    """A forger who holds the key: manifest and note again, over the files as they are."""
    manifest = json.loads((pack / "manifest.json").read_bytes())
    for entry in manifest["files"]:
        data = (pack / entry["path"]).read_bytes()
        entry |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    manifest["pack"] = sha256((pack / "model.json").read_bytes()).hexdigest()[:16]
    encoded = canonical_json(manifest) + b"\n"
    (pack / "manifest.json").write_bytes(encoded)
    text = note_text(SIGNER.name, manifest["pack"], sha256(encoded).hexdigest())
    (pack / "manifest.note").write_bytes(SIGNER.sign(text))


def test_a_whole_pack(whole: Path) -> None:
    report = verify_pack(whole)
    assert report.ok
    assert report.key_is_own
    assert report.key == f"{SIGNER.name}+{SIGNER.key_id.hex()}"
    assert report.rows == 17
    given = verify_pack(whole, SIGNER.vkey)
    assert given.ok
    assert not given.key_is_own


def test_one_byte_of_each_file(pack: Path) -> None:
    for path in sorted(path for path in pack.rglob("*") if path.is_file()):
        name = path.relative_to(pack).as_posix()
        data = path.read_bytes()
        for position in {0, len(data) // 2, len(data) - 1}:
            path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            assert name in named(pack), (name, position)
        path.write_bytes(data)
    assert verify_pack(pack).ok


def test_every_file_missing(pack: Path) -> None:
    for path in sorted(path for path in pack.rglob("*") if path.is_file()):
        data = path.read_bytes()
        path.unlink()
        assert path.relative_to(pack).as_posix() in named(pack)
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["extra.csv", "populations/extra.csv", "ipe/.hidden", "new/file.txt"])
def test_an_extra_file(pack: Path, name: str) -> None:
    (pack / name).parent.mkdir(exist_ok=True)
    (pack / name).write_text("x")
    assert name in named(pack)


def test_a_link_is_no_file(pack: Path, tmp_path: Path) -> None:
    (pack / "README.md").rename(tmp_path / "elsewhere.md")
    (pack / "README.md").symlink_to(tmp_path / "elsewhere.md")
    assert "README.md" in named(pack)


def test_another_key(pack: Path) -> None:
    assert named(pack, OTHER.vkey) == {"manifest.note"}
    with pytest.raises(UsageError, match="--key"):
        verify_pack(pack, "no key")


def test_a_note_that_is_no_pack_note(pack: Path) -> None:
    (pack / "manifest.note").write_bytes((pack / "checkpoints/00112233445566aa.txt").read_bytes())
    assert named(pack) == {"manifest.note"}


def drop_a_row(pack: Path) -> str:
    path = pack / "populations/control_events.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    return "populations/control_events.csv"


def drop_a_line(pack: Path) -> str:
    path = pack / "populations/routes.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    return "populations/routes.jsonl"


def change_a_card(pack: Path) -> str:
    path = pack / "ipe/gaps.json"
    path.write_bytes(path.read_bytes().replace(b'"rows":1', b'"rows":0'))
    return "ipe/gaps.json"


def change_the_model(pack: Path) -> str:
    path = pack / "model.json"
    path.write_bytes(path.read_bytes().replace(b'"size":14', b'"size":15'))
    return "model.json"


def swap_the_checkpoint(pack: Path) -> str:
    other = source(ordinary_records()[:-1])
    (pack / "checkpoints/00112233445566aa.txt").write_bytes(other.checkpoint)
    return "checkpoints/00112233445566aa.txt"


def forge_the_checkpoint(pack: Path) -> str:
    forged = source(ordinary_records(), signer=OTHER).checkpoint
    (pack / "checkpoints/00112233445566aa.txt").write_bytes(forged)
    return "checkpoints/00112233445566aa.txt"


@pytest.mark.parametrize(
    "damage", [drop_a_row, drop_a_line, change_a_card, change_the_model, swap_the_checkpoint, forge_the_checkpoint]
)
def test_what_a_holder_of_the_key_cannot_make_consistent(pack: Path, damage: Callable[[Path], str]) -> None:
    name = damage(pack)
    resign(pack)
    assert name in named(pack)


def test_resigning_alone_changes_nothing(pack: Path) -> None:
    resign(pack)
    assert verify_pack(pack).ok


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/hostname", "populations/../../x.csv", "manifest.json", "a/b/c.txt"]
)
def test_names_that_lead_out_of_the_pack_are_refused(pack: Path, path: str) -> None:
    manifest = json.loads((pack / "manifest.json").read_bytes())
    manifest["files"].append({"path": path, "bytes": 1, "sha256": "00", "media_type": "text/plain", "rows": None})
    (pack / "manifest.json").write_bytes(canonical_json(manifest))
    problems = [finding.problem for finding in verify_pack(pack).findings if finding.file == "manifest.json"]
    assert any("not one of a pack" in problem for problem in problems)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"files":5,"logs":"x"}'])
def test_a_manifest_that_is_none(pack: Path, content: bytes) -> None:
    (pack / "manifest.json").write_bytes(content)
    assert "manifest.json" in named(pack)


def test_no_pack_at_all(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DirectoryError):
            verify_pack(place)


def test_a_newer_pack(pack: Path) -> None:
    manifest = json.loads((pack / "manifest.json").read_bytes()) | {"format": 2}
    (pack / "manifest.json").write_bytes(canonical_json(manifest))
    with pytest.raises(DirectoryError, match="update pxl-audit"):
        verify_pack(pack)
