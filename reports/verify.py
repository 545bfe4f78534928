"""Verify a pack, offline: with the standard library, `cryptography` for Ed25519, and nothing of what built it.

What is checked, each finding naming its file: the signed note over the manifest, the digest of every file, that no
file is missing or was added, every checkpoint's signature, and that model, cards, CSV and JSON lines count the
same rows.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pxl_audit.errors import DirectoryError, FoundBadError, UsageError
from pxl_audit.log.checkpoint import parse_checkpoint
from pxl_audit.log.note import NoteVerifier, open_note, strict_base64

MANIFEST, NOTE, MODEL = "manifest.json", "manifest.note", "model.json"
NOTE_TITLE = "pxl-audit evidence pack v1"
FORMAT = 1
MAX_CELL = 1 << 24
_BLOCK = 1 << 20
_PATH = re.compile(r"(?:[a-z]+/)?[A-Za-z0-9_]+\.[a-z]+", re.ASCII)
_LOG_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NOTE_TEXT = re.compile(
    re.escape(NOTE_TITLE) + r"\norigin (\S+)\npack ([0-9a-f]{16})\nmanifest sha256 ([0-9a-f]{64})\n", re.ASCII
)


@dataclass(frozen=True)
class PackFinding:
    """One thing that is wrong with one file."""

    file: str
    problem: str


@dataclass(frozen=True)
class PackReport:
    """The verdict on one pack."""

    pack: str | None
    origin: str | None
    key: str | None
    """Name and id of the key that signed it; None where no signature could be verified."""
    key_is_own: bool
    """Whether the key came with the pack: then it shows only that nothing was altered since it signed."""
    files: int
    rows: int
    findings: tuple[PackFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass
class _Run:
    root: Path
    findings: list[PackFinding]

    def found(self, file: str, problem: str) -> None:
        self.findings.append(PackFinding(file, problem))

    def json(self, name: str) -> dict[str, object] | None:
        """A JSON object of the pack; None (reported) if it is none."""
        try:
            value = json.loads((self.root / name).read_bytes())
        except OSError as error:
            self.found(name, f"cannot be read: {error.strerror}")
        except (ValueError, RecursionError):
            self.found(name, "is not JSON")
        else:
            if isinstance(value, dict):
                return value
            self.found(name, "is not a JSON object")
        return None


def verify_pack(root: Path, key: str | None = None, progress: Callable[[str], None] | None = None) -> PackReport:
    """Verify a pack; `key` is the verifier key of the log whose key signed it, from elsewhere than the pack.

    Raises:
        DirectoryError: there is no pack here, or one of a newer format. UsageError: `key` is no key.
    """
    if not root.is_dir():
        raise DirectoryError(f"{root}: no such directory; name an evidence pack, the directory that holds {MANIFEST}")
    if not (root / MANIFEST).exists() and not (root / NOTE).exists():
        raise DirectoryError(f"{root}: not an evidence pack (no {MANIFEST}); name the directory that holds it")
    given = None if key is None else _given_key(key)
    run = _Run(root, [])
    manifest = run.json(MANIFEST)
    if manifest is not None and isinstance(manifest.get("format"), int) and manifest["format"] != FORMAT:
        raise DirectoryError(f"{root / MANIFEST}: format {manifest['format']} is not {FORMAT}; update pxl-audit")
    logs = _logs(run, manifest)
    verifier = given or _own_key(run, logs)
    signed = _check_note(run, verifier)
    pack = _check_manifest_digest(run, manifest, signed)
    entries = _entries(run, manifest)
    for number, (name, entry) in enumerate(entries.items()):
        if progress is not None:
            progress(f"{number + 1} of {len(entries)}: {name}")
        _check_file(run, name, entry)
    _check_strays(run, entries)
    for log in logs:
        _check_checkpoint(run, log)
    rows = _check_counts(run, entries, pack, logs)
    return PackReport(
        pack=pack,
        origin=signed[0] if signed else None,
        key=f"{verifier.name}+{verifier.key_id.hex()}" if verifier and signed else None,
        key_is_own=given is None,
        files=len(entries) + 2,
        rows=rows,
        findings=tuple(dict.fromkeys(run.findings)),
    )


def _given_key(text: str) -> NoteVerifier:
    try:
        return NoteVerifier(text)
    except UsageError as error:
        raise UsageError(f"--key: {error}") from None


def _logs(run: _Run, manifest: dict[str, object] | None) -> list[dict[str, object]]:
    if manifest is None:
        return []
    logs = manifest.get("logs")
    good = (
        [log for log in logs if isinstance(log, dict) and _LOG_ID.fullmatch(str(log.get("id")))]
        if isinstance(logs, list)
        else []
    )
    if not isinstance(logs, list) or not logs or len(good) != len(logs):
        run.found(MANIFEST, "names no logs, or names one that is not well-formed")
    return good


def _own_key(run: _Run, logs: list[dict[str, object]]) -> NoteVerifier | None:
    """The key that came with the pack: that of its first log; found by name of file where the manifest is broken."""
    names = [f"keys/{log['id']}.vkey" for log in logs] or sorted(
        path.relative_to(run.root).as_posix() for path in run.root.glob("keys/*.vkey")
    )
    return _key_file(run, names[0]) if names else None


def _key_file(run: _Run, name: str) -> NoteVerifier | None:
    try:
        return NoteVerifier((run.root / name).read_text(encoding="utf-8"))
    except OSError as error:
        run.found(name, f"cannot be read: {error.strerror}")
    except (UsageError, UnicodeDecodeError):
        run.found(name, "is not a verifier key")
    return None


def _check_note(run: _Run, verifier: NoteVerifier | None) -> tuple[str, str, str] | None:
    """(origin, pack id, digest of the manifest) that the note says, if its signature is good."""
    if verifier is None:
        run.found(NOTE, "cannot be verified: there is no key; give one with --key")
        return None
    try:
        text = open_note((run.root / NOTE).read_bytes(), [verifier])
    except OSError as error:
        run.found(NOTE, f"cannot be read: {error.strerror}")
        return None
    except FoundBadError as error:
        run.found(NOTE, str(error))
        return None
    match = _NOTE_TEXT.fullmatch(text)
    if match is None or match[1] != verifier.name:
        run.found(NOTE, "is signed, but is not the note of an evidence pack of this key")
        return None
    return match[1], match[2], match[3]


def _check_manifest_digest(
    run: _Run, manifest: dict[str, object] | None, signed: tuple[str, str, str] | None
) -> str | None:
    pack = manifest.get("pack") if manifest is not None else None
    if signed is not None:
        digest = _digest(run, MANIFEST)
        if digest is not None and digest[1] != signed[2]:
            run.found(MANIFEST, "is not the manifest that was signed: its digest differs from the note's")
        elif manifest is not None and pack != signed[1]:
            run.found(MANIFEST, "names another pack than the note")
    return pack if isinstance(pack, str) else None


def _entries(run: _Run, manifest: dict[str, object] | None) -> dict[str, dict[str, object]]:
    files = (manifest or {}).get("files")
    entries: dict[str, dict[str, object]] = {}
    if manifest is not None and not isinstance(files, list):
        run.found(MANIFEST, "lists no files")
    for entry in files if isinstance(files, list) else []:
        path = entry.get("path") if isinstance(entry, dict) else None
        # Only names that a pack can have: nothing that leads out of it is ever opened.
        if not isinstance(path, str) or not _PATH.fullmatch(path) or path in entries or path in (MANIFEST, NOTE):
            run.found(MANIFEST, f"lists a file name that is not one of a pack, or twice: {ascii(path)[:80]}")
            continue
        entries[path] = entry
    return entries


def _digest(run: _Run, name: str) -> tuple[int, str] | None:
    digest, size = sha256(), 0
    try:
        if (run.root / name).is_symlink():
            run.found(name, "is a symbolic link, not a file")
            return None
        with (run.root / name).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        run.found(name, "is missing")
        return None
    except OSError as error:
        run.found(name, f"cannot be read: {error.strerror}")
        return None
    return size, digest.hexdigest()


def _check_file(run: _Run, name: str, entry: dict[str, object]) -> None:
    found = _digest(run, name)
    if found is None:
        return
    if found[0] != entry.get("bytes"):
        run.found(name, f"has {found[0]} bytes; the manifest says {entry.get('bytes')}")
    elif found[1] != entry.get("sha256"):
        run.found(name, "was altered: its SHA-256 is not the manifest's")


def _check_strays(run: _Run, entries: dict[str, dict[str, object]]) -> None:
    expected = {*entries, MANIFEST, NOTE}
    folders = {name.partition("/")[0] for name in entries if "/" in name}
    for path in sorted(run.root.rglob("*")):
        name = path.relative_to(run.root).as_posix()
        is_folder = path.is_dir() and not path.is_symlink()
        if name not in expected and not (is_folder and name in folders):
            run.found(ascii(name)[1:-1], "is not in the manifest: it was added after signing")


def _check_checkpoint(run: _Run, log: dict[str, object]) -> None:
    name = f"checkpoints/{log['id']}.txt"
    verifier = _key_file(run, f"keys/{log['id']}.vkey")
    if verifier is None:
        return
    try:
        checkpoint = parse_checkpoint(open_note((run.root / name).read_bytes(), [verifier]))
        root = strict_base64(str(log.get("root")))
    except OSError as error:
        run.found(name, f"cannot be read: {error.strerror}")
    except FoundBadError as error:
        run.found(name, str(error))
    except ValueError:
        run.found(MANIFEST, f"root of log {log['id']} is not base64")
    else:
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (log.get("origin"), log.get("size"), root):
            run.found(name, "is signed, but is another checkpoint than the manifest names")


def _check_counts(
    run: _Run, entries: dict[str, dict[str, object]], pack: str | None, logs: list[dict[str, object]]
) -> int:
    """Rows in all populations; model, card, manifest, CSV and JSON lines must agree on each."""
    if MODEL not in entries:
        run.found(MODEL, "is not in the manifest")
        return 0
    digest = _digest(run, MODEL)
    if digest is not None and pack is not None and digest[1][:16] != pack:
        run.found(MODEL, "is not the model of this pack: the pack id is another")
    model = run.json(MODEL)
    if model is None:
        return 0
    _check_logs_of_model(run, model, logs)
    total = 0
    populations = model.get("populations")
    for population in populations if isinstance(populations, list) else []:
        if not isinstance(population, dict) or not isinstance(population.get("rows"), int):
            run.found(MODEL, "names a population without a number of rows")
            continue
        total += population["rows"]
        _check_population(run, population, entries)
    return total


def _check_logs_of_model(run: _Run, model: dict[str, object], logs: list[dict[str, object]]) -> None:
    named = model.get("logs")
    said = [
        (log.get("id"), log.get("origin"), log.get("size"), log.get("root"))
        for log in (named if isinstance(named, list) else [])
        if isinstance(log, dict)
    ]
    if said != [(log.get("id"), log.get("origin"), log.get("size"), log.get("root")) for log in logs]:
        run.found(MODEL, "names other logs, sizes or roots than the manifest")


def _check_population(run: _Run, population: dict[str, object], entries: dict[str, dict[str, object]]) -> None:
    rows = population["rows"]
    for kind, count in (("csv", _csv_rows), ("jsonl", _lines)):
        name = population.get(kind)
        if not isinstance(name, str) or name not in entries:
            run.found(MODEL, f"population {population.get('id')!a}: its {kind} is not in the manifest")
            continue
        try:
            found = count(run.root / name)
        except OSError:
            continue  # missing or unreadable: reported with its digest
        except (csv.Error, UnicodeDecodeError):
            run.found(name, "cannot be read as rows")
            continue
        if found != rows or entries[name].get("rows") != rows:
            run.found(name, f"has {found} rows; the model says {rows}, the manifest {entries[name].get('rows')}")
    card = population.get("card")
    if isinstance(card, str) and card in entries:
        said = run.json(card)
        if said is not None and said.get("rows") != rows:
            run.found(card, f"says {said.get('rows')} rows; the model says {rows}")
    else:
        run.found(MODEL, f"population {population.get('id')!a}: its card is not in the manifest")


def _csv_rows(path: Path) -> int:
    csv.field_size_limit(MAX_CELL)
    with path.open(encoding="utf-8", newline="") as file:
        return max(0, sum(1 for _ in csv.reader(file, strict=True)) - 1)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in _blocks(file.read))


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while block := read(_BLOCK):
        yield block
