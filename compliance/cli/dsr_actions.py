"""What `pxl-audit dsr` does; the options are in `compliance.cli.dsr`."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from compliance.cli import dsr_show as show
from compliance.dsr.approval import approve
from compliance.dsr.execution import execute, ready
from compliance.dsr.intake import open_request, refuse
from compliance.dsr.planning import plan_request
from compliance.dsr.requests import Request, load, load_all, now
from compliance.dsr.subject import parse_subject
from compliance.dsr.verification import check_all, check_request
from pxl_audit.cli.command import EXIT_CANNOT_JUDGE, EXIT_FOUND_BAD, EXIT_GOOD, data_directory
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UsageError

QUIET_SECONDS = 2.0


def open_(args: argparse.Namespace) -> int:
    try:
        received = date.fromisoformat(args.received)
    except ValueError:
        raise UsageError(f"--received {args.received}: not a date; expected a form like 2026-11-20") from None
    directory = _directory(args)
    subject = parse_subject(_read_subject(args.subject_file))
    request = open_request(
        directory, subject, ground=args.ground, received=received, by=_staff(args), channel=args.channel
    )
    show.emit(show.opened(request, len(subject)), as_json=args.json)
    return EXIT_GOOD


def _read_subject(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"--subject-file: {error.strerror}; name a readable file, or - for standard input") from None


def plan_(args: argparse.Namespace) -> int:
    request = plan_request(_directory(args), args.request, include_control=args.include_control)
    show.emit(show.planned(request), as_json=args.json)
    return EXIT_GOOD


def approve_(args: argparse.Namespace) -> int:
    request = approve(_directory(args), args.request, digest=args.plan, by=args.staff)
    show.emit(show.approved(request), as_json=args.json)
    return EXIT_GOOD


def execute_(args: argparse.Namespace) -> int:
    directory = _directory(args)
    request = load(directory, args.request)
    if request.state == "completed":
        show.emit(show.completed(request, again=True), as_json=args.json)
        return EXIT_GOOD
    if args.confirm is None:
        show.emit(show.dry_run(*ready(request, accept_empty=True)), as_json=args.json)
        return EXIT_GOOD
    if args.confirm != args.request:
        raise UsageError(f"--confirm: expected {args.request}, the id of the request to execute; nothing was done")
    run = execute(
        directory,
        args.request,
        by=_staff(args),
        environ=os.environ,
        accept_empty=args.accept_empty,
        accept_residue=args.accept_residue,
        say=_Progress(),
    )
    show.emit(show.completed(run.request, places=run.findings.places), as_json=args.json)
    return EXIT_FOUND_BAD if run.request.residue is not None and run.request.residue.accepted else EXIT_GOOD


def verify_(args: argparse.Namespace) -> int:
    directory = _directory(args)
    if args.all == (args.request is not None):
        raise UsageError("dsr verify: expected a request id or --all")
    if args.all:
        checks, strays = check_all(directory)
        requests: dict[str, Request] = {}
    else:
        request = load(directory, args.request)
        found = check_request(directory, request)
        if found is None:
            raise UsageError(
                f"{request.id} is {request.state}: nothing was erased for it yet, so nothing can be verified"
            )
        checks, strays, requests = [found], [], {request.id: request}
    show.emit(show.verified(checks, strays, requests), as_json=args.json)
    left_over = any(one.residue is not None and one.residue.found for one in requests.values())
    if strays or left_over or any(check.verdict == "bad" for check in checks):
        return EXIT_FOUND_BAD
    return EXIT_CANNOT_JUDGE if any(check.verdict == "unfinished" for check in checks) else EXIT_GOOD


def refuse_(args: argparse.Namespace) -> int:
    request = refuse(_directory(args), args.request, reason=args.reason_code, by=_staff(args))
    show.emit(show.refused(request), as_json=args.json)
    return EXIT_GOOD


def list_(args: argparse.Namespace) -> int:
    show.emit(show.listed(load_all(_directory(args)), now().date()), as_json=args.json)
    return EXIT_GOOD


def _directory(args: argparse.Namespace) -> DataDirectory:
    return DataDirectory.open(data_directory(args))


def _staff(args: argparse.Namespace) -> str:
    if args.staff is not None:
        return str(args.staff)
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("--as: this account has no login name; say who acts with --as NAME") from None


class _Progress:
    """One line a step on standard error, once it takes longer than a moment."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._last = ""
        self._next = 0.0

    def __call__(self, text: str) -> None:
        elapsed = time.monotonic() - self._begun
        if elapsed >= max(QUIET_SECONDS, self._next) and text != self._last:
            print(f"pxl-audit: {elapsed:.0f} s: {text}", file=sys.stderr, flush=True)
            self._last, self._next = text, elapsed + 1.0


ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "open": open_,
    "plan": plan_,
    "approve": approve_,
    "execute": execute_,
    "verify": verify_,
    "refuse": refuse_,
    "list": list_,
}
