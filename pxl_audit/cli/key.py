"""`pxl-audit key show`: the public key that checkpoints are verified with."""

from __future__ import annotations

import argparse
import json

from pxl_audit.cli.command import EXIT_GOOD, Command, add_data_option, add_json_option, data_directory, examples


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = examples("pxl-audit key show var/audit")
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    show = subparsers.add_parser(
        "show",
        help="print the verifier key of the log",
        description=(
            "Print the public verifier key (vkey) of the log. Give it to whoever checks the log, "
            "by another way than the log itself."
        ),
        epilog=examples("pxl-audit key show var/audit", "pxl-audit key show --data var/audit --json"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_option(show, positional=True)
    add_json_option(show)
    show.set_defaults(run=_show)


def _show(args: argparse.Namespace) -> int:
    from pxl_audit.directory import DataDirectory
    from pxl_audit.log.keys import load_vkey

    directory = DataDirectory.open(data_directory(args))
    vkey = load_vkey(directory)
    if args.json:
        print(json.dumps({"vkey": vkey, "origin": vkey.split("+", 1)[0], "log_id": directory.log_id}))
    else:
        print(vkey)
    return EXIT_GOOD


COMMAND = Command("key", "the log's key: show the public half", _configure)
