"""`pxl-audit`: find the command, run it, turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import EntryPoint, entry_points, version

from pxl_audit.cli.command import EXIT_CANNOT_JUDGE, EXIT_USAGE, Command, examples
from pxl_audit.errors import AuditError

GROUP = "pxl_audit.commands"


class _Parser(argparse.ArgumentParser):
    """argparse with our exit code for wrong usage (64, as sysexits.h has it)."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse says NoReturn; exit() does not return
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    words = sys.argv[1:] if argv is None else argv
    os.umask(0o077)  # whatever a command writes is for its owner only
    try:
        args = build_parser(words).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except AuditError as error:
        print(f"pxl-audit: error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CANNOT_JUDGE
    except KeyboardInterrupt:
        print("pxl-audit: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"pxl-audit: error: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return EXIT_CANNOT_JUDGE


def build_parser(words: list[str] | None = None) -> argparse.ArgumentParser:
    """The whole parser; when `words` starts with a command's name, only that command's module is imported."""
    parser = _Parser(
        prog="pxl-audit",
        description="An audit log that cannot lose or silently alter a record, and can still forget a person.",
        epilog=examples("pxl-audit demo --out demo-out", "pxl-audit verify var/audit", "pxl-audit verify --help"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pxl-audit {version('pxl-audit')}")
    commands = {point.name: point for point in entry_points(group=GROUP)}
    chosen = words[0] if words and words[0] in commands else None
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [chosen] if chosen else sorted(commands):
        _add(subparsers, _load(commands[name]))
    return parser


def _load(point: EntryPoint) -> Command:
    command: Command = point.load()
    return command


def _add(subparsers: argparse._SubParsersAction[_Parser], command: Command) -> None:
    subparser = subparsers.add_parser(
        command.name,
        help=command.summary,
        description=command.summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.configure(subparser)


if __name__ == "__main__":
    sys.exit(main())
