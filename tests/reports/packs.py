"""Packs built from small fake logs: real checks, real renderers, a real signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from compliance.checks.integrity import Integrity, cannot_judge
from compliance.checks.result import CheckResult
from compliance.controls import FRAMEWORKS, load_catalogue
from pxl_audit.log.checkpoint import Checkpoint
from pxl_audit.log.note import Signer
from reports.pack import Order, Pack, write_pack
from reports.period import parse_period
from reports.sources import LogSource
from tests.compliance_checks.records import NOW, Record, connect, control, unclean_stop

SIGNER = Signer("audit.example.org/gateway", bytes(range(32)))
OTHER = Signer("audit.example.org/core", bytes(32))
HOSTILE = ("</script><script>x()</script>", "=cmd|' /C calc'!A0", "\u202egnp.exe", "🙂 名前", "bell\x07", 'a\nb,"c"')


def verified(size: int) -> Integrity:
    """What the verifier says of a sound log."""
    result = CheckResult("log-integrity", "tested-no-exception", size, 0, f"All {size} leaves verify.")
    return Integrity(result, size, None, (), ())


def source(records: Iterable[Record], *, signer: Signer = SIGNER, log: str = "00112233445566aa") -> LogSource:
    """A log whose checkpoint is signed and whose records are given."""
    listed = list(records)
    checkpoint = Checkpoint(signer.name, len(listed), bytes([7]) * 32)
    return LogSource(
        id=log,
        origin=signer.name,
        vkey=signer.vkey,
        size=len(listed),
        root=checkpoint.text().split("\n")[2],
        checkpoint=signer.sign(checkpoint.text()),
        connection=connect(listed),
        integrity=verified(len(listed)),
        spool_pending=False,
    )


def tampered(of: LogSource) -> LogSource:
    """The same log, not verifiable."""
    return replace(of, integrity=cannot_judge("log/tile/0/000 is missing"))


def ordinary_records() -> list[Record]:
    """A quarter in small: successes, denials, an error, a stop, an erasure, an earlier report."""
    return [
        control("audit.log.created", "2026-11-19 08:00:00", origin="audit.example.org/gateway"),
        *(Record(f"2026-11-{day} 12:00:00") for day in (20, 20, 21, 22, 23)),
        Record("2026-11-20 13:00:00", status=401, actor_kind="anonymous", method="POST", outcome="failure"),
        Record("2026-11-21 13:00:00", status=500, outcome="failure", error_type="ValueError"),
        Record("2026-11-22 13:00:00", status=201, actor_kind="anonymous", method="POST"),
        unclean_stop("2026-11-22 14:00:00", "2026-11-22 14:00:03", lost=1, in_flight=2),
        control("dsr.opened", "2026-11-20 10:00:00", request="dsr-12ab34cd", ground="b", due="2026-12-20"),
        control("dsr.erasure.started", "2026-11-21 10:00:00", request="dsr-12ab34cd", plan="ab" * 32, actor_parts=3,
                target_parts=2, root="A" * 43 + "="),
        control("dsr.erasure.completed", "2026-11-21 10:00:09", request="dsr-12ab34cd", started=11),
        control("report.built", "2026-11-23 10:00:00", period="2026-11", pack="cd" * 32),
    ]  # fmt: skip


def hostile_records() -> list[Record]:
    """Every text column that a stranger may reach, with every hostile text."""
    return [
        Record(
            "2026-11-20 12:00:00", service=text, route=text, error_type=text, method="POST", status=500,
            ending="exception", actor_kind="anonymous",
        )
        for text in HOSTILE
    ] + [control("incident.noted", what=text) for text in HOSTILE] + [
        control("audit.gap", cause=text, writer=text, service=text, count=1, **{"from": 1795219200, "to": 1795219300})
        for text in HOSTILE
    ] + [control("dsr.opened", request=text, due="2026-12-01") for text in HOSTILE]  # fmt: skip


def build(
    out: Path, *sources: LogSource, period: str = "2026-Q4", now: datetime = NOW, signer: Signer = SIGNER
) -> Pack:
    """A pack with all frameworks."""
    order = Order(parse_period(period), tuple(load_catalogue(framework) for framework in FRAMEWORKS), now)
    return write_pack(out, sources, order, signer, lambda _text: None)


def files_of(root: Path) -> dict[str, bytes]:
    """Path -> bytes of every file of a pack."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
