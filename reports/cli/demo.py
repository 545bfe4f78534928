"""`pxl-audit demo`: the whole of it in two minutes, on this machine, with nothing else installed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pxl_audit.cli.command import EXIT_FOUND_BAD, EXIT_GOOD, Command, add_json_option, examples
from pxl_audit.errors import UsageError

if TYPE_CHECKING:
    from reports.demo.story import Told

FEWEST_REQUESTS = 200
PROGRESS_SECONDS = 0.5


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Start two services on free ports of this machine, drive real HTTP requests through them, kill a worker\n"
        "in the middle, erase one user, build the quarter's evidence pack and verify everything. About a minute;\n"
        "then everything is stopped, and DIR holds gateway/ and core/ (data directories), pack/ and logs/.\n\n"
        "Ends with 0: all holds, 1: something does not, 2: could not be done, 64: wrong usage."
    )
    parser.epilog = examples(
        "pxl-audit demo --out demo-out",
        "pxl-audit demo --out demo-out --requests 400        # a short one",
        "pxl-audit demo --out demo-out --json | jq '.checks[]'",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("demo-out"),
        help="where everything goes: new, empty, or of an earlier demo, which is replaced (default: demo-out)",
    )
    parser.add_argument(
        "--requests",
        metavar="N",
        type=int,
        default=2400,
        help=f"how many requests, at least {FEWEST_REQUESTS} (default: 2400)",
    )
    add_json_option(parser)
    parser.set_defaults(run=_run)


COMMAND = Command("demo", "show all of it on this machine: traffic, a killed worker, an erasure, evidence", _configure)


def _run(args: argparse.Namespace) -> int:
    from reports.demo.story import summary, tell

    if args.requests < FEWEST_REQUESTS:
        raise UsageError(f"--requests {args.requests}: expected at least {FEWEST_REQUESTS}, so that every kind occurs")
    shown = _Shown()
    told = tell(args.out, args.requests, shown.say, shown.progress)
    shown.end()
    if args.json:
        print(json.dumps(summary(told)))
    else:
        _print(told, args.out)
    return EXIT_FOUND_BAD if told.failed else EXIT_GOOD


class _Shown:
    """Steps with the time since the start, on standard error; a count that goes on in place, on a terminal."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._last = self._begun
        self._open_line = False

    def say(self, text: str) -> None:
        self.end()
        print(f"[{time.monotonic() - self._begun:5.1f} s] {text}", file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        now = time.monotonic()
        pause = PROGRESS_SECONDS if self._terminal else 10 * PROGRESS_SECONDS
        if now - self._last < pause:
            return
        self._last = now
        if self._terminal:
            print(f"\r[{now - self._begun:5.1f} s] {text} ", end="", file=sys.stderr, flush=True)
            self._open_line = True
        else:
            self.say(text)

    def end(self) -> None:
        if self._open_line:
            print(file=sys.stderr)
        self._open_line = False


def _print(told: Told, out: Path) -> None:
    print(f"\nRequests: {_pairs(told.requests)}")
    print(f"Responses: {_pairs(dict(sorted(told.statuses.items())))}\n")
    if told.gateway is not None and told.core is not None:
        _print_table("Requests made to the gateway", told.gateway.sent, told.gateway.table())
        _print_table("Records of the core", None, told.core.table())
    for service, erased in told.erased.items():
        print(
            f"Erased in {service}: {erased.actor_parts} actor and {erased.target_parts} target parts ({erased.request})"
        )
    print("Values of that person in all files, before and after:")
    for name, before in told.traces_before.items():
        print(f"  {name:<10}{before:>6} {told.traces_after.get(name, 0):>6}")
    print()
    for check in told.checks:
        print(f"{'holds' if check.holds else 'FAILS'}  {check.name} ({check.found})")
    print(f"\n{len(told.checks) - len(told.failed)} of {len(told.checks)} hold; {told.seconds:.0f} s\n")
    _print_next(out, good=not told.failed)


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _print_table(title: str, total: int | None, lines: list[tuple[str, int]]) -> None:
    print(title if total is None else f"{title:<68}{total:>6}")
    for name, count in lines:
        print(f"  {name:<66}{count:>6}")
    print()


def _print_next(out: Path, *, good: bool) -> None:
    print("Open:")
    print(f"  {out / 'pack' / 'report.html'}   the quarter's evidence, in a browser")
    for name, what in (("pack", "the whole pack, signed"), ("gateway", "a data directory"), ("core", "another")):
        print(f"  {out / name}   {what}")
    print(f"  {out / 'logs'}   what the services printed")
    if not good:
        print("\nNow: look at the lines with FAILS above, and at the logs.")
        return
    print("\nNow try to cheat: change a byte of the log, and see that it is found.")
    print(f"  printf X | dd of={_first_bundle(out / 'core')} bs=1 seek=40 conv=notrunc status=none")
    print(f"  pxl-audit verify {out / 'core'}")


def _first_bundle(data: Path) -> Path:
    """The file with the first records of a log: full, or the widest of the partial ones."""
    full = data / "log" / "tile" / "entries" / "000"
    return full if full.exists() else max((full.parent / "000.p").iterdir(), key=lambda path: int(path.name))
