"""`pxl-audit verify`: is the log whole, is the vault what the log says, is gone only what was announced."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pxl_audit.cli.command import Command, add_data_option, add_json_option, data_directory, examples
from pxl_audit.errors import UsageError

if TYPE_CHECKING:
    from pxl_audit.verify import Report

QUIET_SECONDS = 2.0
SHOWN = 20

_MEANINGS = {
    "checkpoint": "the signed checkpoint cannot be trusted, so nothing below it was judged",
    "key": "the directory's key is not the key you hold: this may be another log, or a log signed anew",
    "held-checkpoint": "the log lacks a checkpoint that was kept elsewhere: history was cut off or rewritten",
    "root": "the entries are not the ones that were signed",
    "entry-hash": "an entry of the log was changed",
    "entry-malformed": "an entry of the log is not in the form of the format",
    "bundle-length": "entries were added to or cut off from the log",
    "tile-hash": "a hash tile was changed; tiles can be computed anew from the entries",
    "log-file-missing": "a file of the log is gone",
    "beyond-checkpoint": "files go beyond the checkpoint: an older checkpoint was put back, or the agent was killed "
    "just now (then start the agent once, and verify again)",
    "vault-row-missing": "records of the vault are gone; the log shows that they existed",
    "vault-unreadable": "a vault file is damaged",
    "vault-column": "a column of the vault is not what the log says",
    "opening-mismatch": "personal data in the vault is not what was recorded",
    "opening-missing": "personal data is gone without an event that says so",
    "erasure-set": "more, less or something else was destroyed than an erasure announced",
    "destroyed-extra": "this part was not among those that the erasure announced",
    "not-destroyed": "an erasure is said to be completed, but this part is there: run the erasure again",
    "leftover-opening": "a part that was destroyed lies in another file too",
    "ledger-missing": "the erasure ledger lacks an erasure; a restored backup would bring the person back",
    "ledger-set": "the erasure ledger names other parts than the log announced",
    "stray-file": "a file that does not belong here; in vault/ it may hold personal data out of reach of an erasure",
}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Verify a whole data directory: the log against its signed checkpoint, the vault against the log,\n"
        "and all that was destroyed against what was announced. Nothing is changed; the directory may be in use.\n\n"
        "Ends with 0: all good, 1: something was found, 2: could not judge, 64: wrong usage."
    )
    parser.epilog = examples(
        "pxl-audit verify var/audit",
        "pxl-audit verify var/audit --key 'pxl.example/audit+87e115b1+AdBKsj…'  # the key that you hold",
        "pxl-audit verify var/audit --checkpoint last-quarter.checkpoint  # the log must still contain it",
        "pxl-audit verify var/audit --json | jq '.findings[]'",
    )
    add_data_option(parser, positional=True)
    parser.add_argument("--key", metavar="VKEY", help="the log's verifier key, as the auditor holds it")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="a checkpoint of this log that was kept elsewhere: finds history cut off or rewritten since (repeatable)",
    )
    add_json_option(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from pxl_audit.verify import verify_directory

    root = data_directory(args)
    held = {str(path): _read_held(path) for path in args.checkpoint}
    report = verify_directory(root, key=args.key, held=held, progress=_progress())
    if args.json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        _print(report, root)
    return report.exit_code


def _read_held(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--checkpoint {path}: {error.strerror}; name a file with a checkpoint of this log") from None


def _progress() -> Callable[[int, int], None] | None:
    if not sys.stderr.isatty():
        return None
    begun = time.monotonic()

    def show(done: int, size: int) -> None:
        if time.monotonic() - begun > QUIET_SECONDS:
            end = "\n" if done == size else ""
            print(f"\rverified {done} of {size} records ({100 * done // size} %)", end=end, file=sys.stderr, flush=True)

    return show


def _print(report: Report, root: Path) -> None:
    verdict = {0: "GOOD", 1: "FOUND BAD", 2: "COULD NOT JUDGE"}[report.exit_code]
    print(f"{verdict}: {root}")
    if report.size is not None:
        print(f"  log        {report.origin}, {report.size} records, root {report.root}")
        for part, counts in report.openings.items():
            told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
            print(f"  {part:<10} {told or 'none'}")
    for erasure in report.erasures:
        parts = f"{erasure.actor_parts} actor and {erasure.target_parts} target parts destroyed"
        state = "announced, not completed yet" if erasure.pending else "as announced" if report.ok else "see below"
        print(f"  {erasure.kind:<10} event {erasure.event}: {parts}, {state}")
    for reason in report.unjudged:
        print(f"  could not judge: {reason}; update pxl-audit and verify again")
    if report.findings_total:
        _print_findings(report)
    elif not report.unjudged and report.checkpoint is not None:
        print("Next: keep this checkpoint where nobody on this machine can change it, for --checkpoint next time:")
        print()
        print(report.checkpoint, end="")


def _print_findings(report: Report) -> None:
    for finding in report.findings[:SHOWN]:
        place = finding.file if finding.index is None else f"{finding.file}, record {finding.index}"
        print(f"  {finding.kind}: {place}\n    expected {finding.expected}\n    found    {finding.found}")
    if report.findings_total > SHOWN:
        print(f"  ... {report.findings_total} findings in all; --json has {len(report.findings)} of them")
    print("What that means:")
    for kind in dict.fromkeys(finding.kind for finding in report.findings):
        print(f"  {kind}: {_MEANINGS.get(kind, 'the directory is not as docs/format.md says')}")
    print(
        "Next: change and delete nothing. Copy the directory as it is, compare the files above with a backup and with\n"
        "the checkpoints kept elsewhere, and restore only what they prove."
    )


COMMAND = Command("verify", "verify log, vault and erasures of a data directory", _configure)
