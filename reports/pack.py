"""The pack: files, a manifest of their digests, and a signed note over the manifest. Whole at its place, or not there.

The note's text, so that it can never be taken for a checkpoint, whose first line is the origin::

    pxl-audit evidence pack v1
    origin <name of the log key>
    pack <first 16 hex digits of SHA-256 of model.json>
    manifest sha256 <hex>
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.checks.window import utc_text
from compliance.controls import Catalogue
from pxl_audit.errors import UsageError
from pxl_audit.files import make_directory, sync_directory, write_new
from reports.build import LogFindings, build_model, find
from reports.model import PopulationModel, ReportModel
from reports.period import Period
from reports.populations import POPULATIONS, Draw, Population, draw, parameter_texts
from reports.render.csv import TRANSFORMATION, write_csv
from reports.render.html import render_html
from reports.render.json import canonical_json, model_json
from reports.render.readme import render_readme
from reports.sources import LogSource

if TYPE_CHECKING:
    from pxl_audit.log.note import Signer

NOTE_TITLE = "pxl-audit evidence pack v1"
MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".html": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".vkey": "text/plain",
}
_FOLDERS = ("populations", "ipe", "checkpoints", "keys")
_BLOCK = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What to build. `now` (aware) is the one clock: the same order over the same logs gives the same bytes."""

    period: Period
    catalogues: tuple[Catalogue, ...]
    now: datetime


@dataclass(frozen=True)
class Pack:
    """A finished pack."""

    path: Path
    id: str
    manifest_sha256: str
    model: ReportModel
    files: int


def check_out(out: Path) -> None:
    """Refuse a place that something else occupies.

    Raises:
        UsageError: it exists and is not an empty directory.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError(f"--out {out}: not empty; name a new directory, a pack is never overwritten")


def write_pack(out: Path, sources: Sequence[LogSource], order: Order, signer: Signer, say: Say) -> Pack:
    """Write the pack to `out`: into a directory beside it first, moved there when it is whole.

    Raises:
        UsageError: `out` is occupied. UnavailableError: jinja2 is missing. OSError: the disk says no.
    """
    check_out(out)
    make_directory(out.absolute().parent)
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(beside, ignore_errors=True)  # left by a killed run that had our pid
    make_directory(beside)
    try:
        pack = _fill(beside, out, sources, order, signer, say)
        beside.rename(out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    sync_directory(out.absolute().parent)
    return pack


def _fill(root: Path, out: Path, sources: Sequence[LogSource], order: Order, signer: Signer, say: Say) -> Pack:
    findings = []
    for source in sources:
        say(f"{source.origin}: running checks")
        findings.append(find(source, order.period.window(order.now)))
    for folder in _FOLDERS:
        make_directory(root / folder)
    rows: dict[str, int] = {}
    populations = [_population(root, population, findings, order, rows, say) for population in POPULATIONS]
    model = build_model(findings, order.catalogues, populations, order.period, order.now)
    encoded = model_json(model)
    digest = sha256(encoded).hexdigest()
    write_new(root / "model.json", encoded)
    say("rendering")
    write_new(root / "report.html", render_html(model, digest))
    write_new(root / "README.md", render_readme(model))
    for source in sources:
        write_new(root / "checkpoints" / f"{source.id}.txt", source.checkpoint)
        write_new(root / "keys" / f"{source.id}.vkey", f"{source.vkey}\n".encode())
    manifest = canonical_json(_manifest(root, model, digest[:16], rows)) + b"\n"
    write_new(root / "manifest.json", manifest)
    manifest_digest = sha256(manifest).hexdigest()
    write_new(root / "manifest.note", signer.sign(note_text(signer.name, digest[:16], manifest_digest)))
    for path in (*(root / folder for folder in _FOLDERS), root):
        sync_directory(path)
    return Pack(out, digest[:16], manifest_digest, model, files=sum(1 for path in root.rglob("*") if path.is_file()))


def note_text(origin: str, pack: str, manifest_sha256: str) -> str:
    """The text that is signed."""
    return f"{NOTE_TITLE}\norigin {origin}\npack {pack}\nmanifest sha256 {manifest_sha256}\n"


def _population(
    root: Path, population: Population, findings: Sequence[LogFindings], order: Order, rows: dict[str, int], say: Say
) -> PopulationModel:
    say(f"drawing population {population.id}")
    window = order.period.window(order.now)
    exact = root / "populations" / f"{population.id}.jsonl"
    safe = exact.with_suffix(".csv")
    draws = []
    with exact.open("xb") as whole:
        for one in findings:
            share = exact.with_suffix(f".{one.source.id}.part")
            draws.append(draw(one.source.connection, population, one.source.id, window, share))
            with share.open("rb") as lines:
                shutil.copyfileobj(lines, whole, _BLOCK)
            share.unlink()
        whole.flush()
        os.fsync(whole.fileno())
    write_csv(findings[0].source.connection, population, exact, safe)
    total = sum(one.rows for one in draws)
    card = root / "ipe" / f"{population.id}.json"
    write_new(card, canonical_json(_card(root, population, findings, draws, order)) + b"\n")
    names = [path.relative_to(root).as_posix() for path in (safe, exact, card)]
    rows.update({names[0]: total, names[1]: total})
    return PopulationModel(population.id, population.title, population.purpose, total, *names)


def _card(
    root: Path, population: Population, findings: Sequence[LogFindings], draws: Sequence[Draw], order: Order
) -> dict[str, object]:
    """The card of information produced by the entity: all that says how these rows came to be."""
    from importlib.metadata import version  # noqa: PLC0415  # slow to import, needed once

    window = order.period.window(order.now)
    exact = root / "populations" / f"{population.id}.jsonl"
    return {
        "id": population.id,
        "title": population.title,
        "purpose": population.purpose,
        "source": "view records (docs/format.md, section 5) of the vault of each log, up to the log's checkpoint",
        "sql": population.sql,
        "sql_sha256": sha256(population.sql.encode()).hexdigest(),
        "filters": list(population.filters),
        "period": {"start": utc_text(window.parameters()["start"]), "end": utc_text(window.parameters()["end"])},
        "time": "half-open period, UTC, time of the event in whole seconds",
        "rows": sum(one.rows for one in draws),
        "logs": [
            {
                "log": one.source.id,
                "origin": one.source.origin,
                "size": one.source.size,
                "root": one.source.root,
                "parameters": parameter_texts(one.source.id, window, population.sql),
                "records_in_log": one.source.size,
                "records_in_period": one.records,
                "rows": drawn.rows,
                "first_index": drawn.first_index,
                "last_index": drawn.last_index,
            }
            for one, drawn in zip(findings, draws, strict=True)
        ],
        "files": [
            {"path": path.relative_to(root).as_posix(), **_digest(path)} for path in (exact.with_suffix(".csv"), exact)
        ],
        "transformations": [TRANSFORMATION, "No opening of the vault was read: there is no personal data."],
        "run_at": utc_text(order.now),
        "software": {"name": "pxl-audit", "version": version("pxl-audit")},
        "prepared_by": "software, unattended",
        "reviewed_by": "n/a: no person has reviewed this population before it was packed",
    }


def _manifest(root: Path, model: ReportModel, pack: str, rows: dict[str, int]) -> dict[str, object]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        "format": 1,
        "pack": pack,
        "built": model.built,
        "software": {"name": model.software.name, "version": model.software.version},
        "period": {"label": model.period.label, "start": model.period.start, "end": model.period.end},
        "logs": [
            {
                "id": log.id,
                "origin": log.origin,
                "size": log.size,
                "root": log.root,
                "checkpoint": f"checkpoints/{log.id}.txt",
                "key": f"keys/{log.id}.vkey",
            }
            for log in model.logs
        ],
        "files": [_entry(root, path, rows) for path in paths],
    }


def _entry(root: Path, path: Path, rows: dict[str, int]) -> dict[str, object]:
    name = path.relative_to(root).as_posix()
    return {"path": name, **_digest(path), "media_type": MEDIA_TYPES[path.suffix], "rows": rows.get(name)}


def _digest(path: Path) -> dict[str, object]:
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}
