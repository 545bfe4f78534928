"""What a command is, and the options that all commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EXIT_GOOD = 0
EXIT_FOUND_BAD = 1
EXIT_CANNOT_JUDGE = 2
EXIT_USAGE = 64


@dataclass(frozen=True)
class Command:
    """One top-level command.

    `configure` adds options and subcommands, and calls `parser.set_defaults(run=function)`, where the function takes
    the parsed arguments and returns an exit code. It may raise `AuditError`; `main` prints it and ends with its code.
    """

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]


def add_data_option(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """Add `--data DIR`, and with `positional` also `DIR` as an argument. Read it with `data_directory(args)`."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="data directory, the one that holds log/ and vault/ (default: $PXL_AUDIT_DATA, else var/audit)",
    )
    if positional:
        parser.add_argument("directory", nargs="?", metavar="DIR", type=Path, help="the same as --data DIR")


def data_directory(args: argparse.Namespace) -> Path:
    """The data directory that the arguments or the environment name."""
    named = getattr(args, "directory", None) or args.data
    return Path(named or os.environ.get("PXL_AUDIT_DATA") or "var/audit")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json`: one JSON object on standard output instead of text."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def examples(*lines: str) -> str:
    """The epilogue with examples that every `--help` ends with."""
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)
