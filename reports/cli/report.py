"""`pxl-audit report`: build an evidence pack, and check one offline."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pxl_audit.cli.command import EXIT_FOUND_BAD, EXIT_GOOD, Command, add_json_option, examples
from pxl_audit.errors import AuditError

if TYPE_CHECKING:
    from pxl_audit.directory import DataDirectory
    from reports.pack import Pack
    from reports.verify import PackReport

QUIET_SECONDS = 2.0


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Build an evidence pack for auditors, and verify one offline. Evidence, not an opinion."
    parser.epilog = examples(
        "pxl-audit report build --framework gdpr,soc2,iso27001 --period 2026-Q4 --out pack",
        "pxl-audit report verify pack",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _configure_build(
        actions.add_parser("build", help="build an evidence pack", formatter_class=argparse.RawDescriptionHelpFormatter)
    )
    _configure_verify(
        actions.add_parser("verify", help="verify a pack", formatter_class=argparse.RawDescriptionHelpFormatter)
    )


def _configure_build(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Verify the logs, run every check on the records of a period, and write a pack: model, page, populations, "
        "manifest, signed with the first log's key. Records that a report was built."
    )
    parser.epilog = examples(
        "pxl-audit report build --framework gdpr,soc2,iso27001 --period 2026-Q4 --out pack",
        "pxl-audit report build --framework sox --period 2026 --data var/gateway --data var/core --out pack",
        "pxl-audit report build --framework soc2 --period 2026-11-01..2026-12-01 --out pack --json",
    )
    parser.add_argument(
        "--framework", required=True, metavar="NAMES", help="gdpr, soc2, iso27001, sox; several joined by commas"
    )
    parser.add_argument(
        "--period",
        required=True,
        metavar="PERIOD",
        help="2026-Q4, 2026-11, 2026 or 2026-11-01..2026-12-01 (last day not included), in UTC",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        action="append",
        help="data directory; repeat it for several logs in one pack (default: $PXL_AUDIT_DATA, else var/audit)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="where the pack goes; a new directory")
    add_json_option(parser)
    parser.set_defaults(run=_build)


def _configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check every digest, signature and count of a pack. Needs the pack only: no data directory, no network. "
        "Exit code 0: nothing found; 1: something is wrong; 2: it could not be judged."
    )
    parser.epilog = examples(
        "pxl-audit report verify pack",
        "pxl-audit report verify pack --key 'audit.example.org/gateway+1a2b3c4d+AXk…'",
        "pxl-audit report verify pack --json",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="the pack")
    parser.add_argument(
        "--key",
        metavar="VKEY",
        help="key of the log that signed it, as `pxl-audit key show` prints it; from elsewhere than the pack",
    )
    add_json_option(parser)
    parser.set_defaults(run=_verify)


class _Progress:
    """Says on standard error what goes on, from two seconds on, at most once a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + QUIET_SECONDS

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1.0
            print(f"pxl-audit: {text}", file=sys.stderr, flush=True)


def _build(args: argparse.Namespace) -> int:
    from compliance.controls import load_catalogue, parse_frameworks  # `verify` needs none of this
    from pxl_audit.directory import DataDirectory
    from pxl_audit.log.keys import load_signer
    from reports.pack import Order, check_out, write_pack
    from reports.period import parse_period
    from reports.render.html import require_jinja2
    from reports.sources import open_source, refuse_doubles

    period = parse_period(args.period)
    catalogues = tuple(load_catalogue(framework) for framework in parse_frameworks(args.framework))
    check_out(args.out)
    require_jinja2()
    roots: list[Path] = args.data or [Path(os.environ.get("PXL_AUDIT_DATA") or "var/audit")]
    directories = [DataDirectory.open(root) for root in roots]
    refuse_doubles(directories)
    say = _Progress()
    signer = load_signer(directories[0])
    with contextlib.ExitStack() as stack:
        sources = []
        for directory in directories:
            pending = _take_over_spool(directory, say)
            sources.append(open_source(directory.root, say, spool_pending=pending))
            stack.callback(sources[-1].connection.close)
        order = Order(period, catalogues, datetime.now(UTC).replace(microsecond=0))
        pack = write_pack(args.out, sources, order, signer, say)
    index = _record(directories[0], period.label, pack.manifest_sha256)
    _print_built(pack, index, as_json=args.json, data=directories[0].root)
    return EXIT_GOOD


def _take_over_spool(directory: DataDirectory, say: Callable[[str], None]) -> bool:
    """Let records that still wait in the spool into the log; True if that did not succeed."""
    from pxl_audit.agent.client import seal_all

    try:
        seal_all(directory)
    except (AuditError, OSError) as error:
        print(f"pxl-audit: warning: {directory.root}: records may wait in the spool: {error}", file=sys.stderr)
        return True
    say(f"{directory.root}: the spool is taken over")
    return False


def _record(directory: DataDirectory, period: str, digest: str) -> int | None:
    """Record in the log that the report was built; None (and a warning) if that does not succeed."""
    from pxl_audit.agent.client import append_and_wait
    from pxl_audit.event import make_event

    event = make_event("report.built", retention="control", facts={"period": period, "pack": digest})
    try:
        return append_and_wait(directory, [event])[0]
    except (AuditError, OSError) as error:
        print(f"pxl-audit: warning: the pack is complete, but is not recorded in the log: {error}", file=sys.stderr)
        return None


def _print_built(pack: Pack, index: int | None, *, as_json: bool, data: Path) -> None:
    model = pack.model
    if as_json:
        print(
            json.dumps(
                {
                    "pack": pack.id,
                    "path": str(pack.path),
                    "manifest_sha256": pack.manifest_sha256,
                    "period": asdict(model.period),
                    "summary": asdict(model.summary),
                    "frameworks": {one.id: dict(one.states) for one in model.frameworks},
                    "checks": [{"check": one.check, "log": one.log, "state": one.state} for one in model.checks],
                    "recorded_at": index,
                }
            )
        )
        return
    to_date = " (to date: the period is not over)" if model.period.to_date else ""
    print(f"period       {model.period.label}{to_date}: {model.period.start} up to {model.period.end}")
    for log in model.logs:
        print(f"log          {log.origin}: {log.size} records, {log.records_in_period} in the period; {log.verified}")
    print(f"             {model.summary.statement}")
    for check in model.checks:
        print(f"{check.state:<23}{check.check}: {check.finding}")
    for framework in model.frameworks:
        counts = ", ".join(f"{count} {state}" for state, count in framework.states if count)
        print(f"{framework.name}: {counts}")
    print(f"pack         {pack.path}, {pack.files} files, id {pack.id}")
    print(f"recorded     report.built, leaf {'(not recorded)' if index is None else index} of {data}")
    print(f"Next: open {pack.path}/report.html; then pxl-audit report verify {pack.path}")


def _verify(args: argparse.Namespace) -> int:
    from reports.verify import verify_pack  # only what it needs: it must run on a bare machine

    report = verify_pack(args.directory, args.key, _Progress())
    if args.json:
        print(json.dumps({"ok": report.ok, **asdict(report)}))
    else:
        _print_verdict(report, args.directory)
    return EXIT_GOOD if report.ok else EXIT_FOUND_BAD


def _print_verdict(report: PackReport, directory: Path) -> None:
    for finding in report.findings:
        print(f"BAD          {finding.file} {finding.problem}")
    print(f"pack         {report.pack or '(unknown)'}, {report.files} files, {report.rows} rows in populations")
    if report.key is None:
        print("signature    none that could be verified")
    elif report.key_is_own:
        print(f"signature    by {report.key}, the key that came with the pack:")
        print("             this shows only that nothing was altered since that key signed it")
    else:
        print(f"signature    by {report.key}, the key given with --key")
    if report.findings:
        print(f"Next: do not rely on {directory}; get it again from who built it, and ask what happened")
    elif report.key_is_own:
        print(f"Next: get the log's key from elsewhere, then pxl-audit report verify {directory} --key VKEY")
    else:
        print("Next: compare the checkpoints with those of earlier packs and with copies kept elsewhere")


COMMAND = Command("report", "build an evidence pack for auditors, or verify one offline", _configure)
