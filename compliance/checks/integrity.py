"""Integrity: the verifier's verdict on a whole data directory, as a check result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compliance.checks.result import CheckResult, TestState, plural
from pxl_audit.errors import AuditError

Progress = Callable[[int, int], None]
MAX_LISTED = 20


@dataclass(frozen=True)
class IntegrityFinding:
    """One thing that is not as the format says; holds digests, lengths and numbers only."""

    kind: str
    file: str
    index: int | None
    expected: str
    found: str


@dataclass(frozen=True)
class Integrity:
    """The verifier's verdict. It is on the whole log, not only on the period."""

    result: CheckResult
    size: int | None
    root: str | None
    findings: tuple[IntegrityFinding, ...]
    unjudged: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether populations drawn from this log can be relied upon."""
        return self.result.state in ("tested-no-exception", "no-occurrence")


def check_integrity(root: Path, *, key: str | None = None, progress: Progress | None = None) -> Integrity:
    """Verify the data directory; never raises for what is wrong with it, because that is the finding."""
    from pxl_audit.verify import verify_directory  # noqa: PLC0415  # a check of records needs no verifier

    try:
        report = verify_directory(root, key=key, progress=progress)
    except (AuditError, OSError) as error:
        # The pack leaves this machine: it does not carry the path of the data directory.
        return cannot_judge(str(error).replace(f"{root}/", "").replace(f"{root}", "the data directory"))
    state: TestState = "tested-no-exception" if report.ok else "tested-with-exception"
    if not report.ok and not report.findings:
        state = "insufficient-evidence"
    size = report.size or 0
    return Integrity(
        result=CheckResult(
            check="log-integrity",
            state=state,
            population=size,
            exceptions=report.findings_total,
            finding=_finding(size, report.findings_total, tuple(report.unjudged)),
            numbers=(("leaves", size), ("findings", report.findings_total)),
        ),
        size=report.size,
        root=report.root,
        findings=tuple(
            IntegrityFinding(one.kind, one.file, one.index, one.expected, one.found)
            for one in report.findings[:MAX_LISTED]
        ),
        unjudged=tuple(report.unjudged),
    )


def cannot_judge(reason: str) -> Integrity:
    """The result where the verifier could not come to a verdict."""
    return Integrity(
        result=CheckResult(
            check="log-integrity",
            state="insufficient-evidence",
            population=0,
            exceptions=0,
            finding=f"The log could not be verified: {reason}",
        ),
        size=None,
        root=None,
        findings=(),
        unjudged=(reason,),
    )


def _finding(size: int, findings: int, unjudged: tuple[str, ...]) -> str:
    if findings:
        return f"Verification of {plural(size, 'leaf', 'leaves')} found {plural(findings, 'fault')}."
    if unjudged:
        return f"Verification of {plural(size, 'leaf', 'leaves')} could not judge everything: {unjudged[0]}"
    return f"All {plural(size, 'leaf', 'leaves')}, tiles and openings verify against the signed checkpoint."
