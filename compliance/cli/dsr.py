"""`pxl-audit dsr`: requests of data subjects, from the letter to the proof."""

from __future__ import annotations

import argparse
from typing import get_args

from compliance.dsr.requests import REASONS, Ground
from pxl_audit.cli.command import (
    Command,
    add_data_option,
    add_json_option,
    examples,
)

_STAFF_HELP = "who acts, recorded in the log as given (default: the login name)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = examples(
        "pxl-audit dsr open --data var/audit --subject-file person.txt --ground b --received 2026-11-20",
        "pxl-audit dsr plan dsr-1a2b3c4d --data var/audit",
        "pxl-audit dsr list --data var/audit",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_open(actions)
    _add_plan(actions)
    _add_approve(actions)
    _add_execute(actions)
    _add_verify(actions)
    _add_refuse(actions)
    _add_list(actions)


COMMAND = Command("dsr", "answer a person's request for erasure: plan, approve, execute, verify", configure)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, *lines: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=examples(*lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=_run, action=name)
    return parser


def _add_open(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _action(
        actions,
        "open",
        "register a request; identifiers come from a file or a pipe, one a line: user.id=..., session.id=..., ...",
        "pxl-audit dsr open --subject-file person.txt --ground b --received 2026-11-20",
        "crm-lookup 4711 | pxl-audit dsr open --subject-file - --ground a --received 2026-11-20 --channel letter",
    )
    parser.add_argument("--subject-file", metavar="FILE", required=True, help="what the person is known by; - is stdin")
    parser.add_argument(
        "--ground", required=True, choices=get_args(Ground), help="letter of GDPR Art. 17(1) that the request rests on"
    )
    parser.add_argument(
        "--received", metavar="DATE", required=True, help="day on which the request arrived: 2026-11-20"
    )
    parser.add_argument("--channel", metavar="CODE", help="how it arrived, as a code without names: letter, web-form")
    parser.add_argument("--as", dest="staff", metavar="NAME", default=None, help=_STAFF_HELP)


def _add_plan(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _action(
        actions,
        "plan",
        "find every part of every record that names the person; changes no record",
        "pxl-audit dsr plan dsr-1a2b3c4d --data var/audit",
    )
    _add_request(parser)
    parser.add_argument(
        "--include-control",
        action="store_true",
        help="also erase from records of class control (acts of staff), withheld for review otherwise",
    )


def _add_approve(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _action(
        actions,
        "approve",
        "agree to exactly one plan; not under the name that opened the request",
        "pxl-audit dsr approve dsr-1a2b3c4d --as dpo --plan 5f0c...  # the digest that dsr plan printed",
    )
    _add_request(parser)
    parser.add_argument(
        "--as", dest="staff", metavar="NAME", required=True, help="who approves, recorded in the log as given"
    )
    parser.add_argument("--plan", metavar="DIGEST", required=True, help="the digest that dsr plan printed")


def _add_execute(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _action(
        actions,
        "execute",
        "erase what was approved; without --confirm only show it. May be interrupted and run again",
        "pxl-audit dsr execute dsr-1a2b3c4d                          # shows what would happen",
        "pxl-audit dsr execute dsr-1a2b3c4d --confirm dsr-1a2b3c4d   # does it",
    )
    _add_request(parser)
    parser.add_argument("--as", dest="staff", metavar="NAME", default=None, help=_STAFF_HELP)
    parser.add_argument("--confirm", metavar="ID", help="the request id again: destroy the parts, for good")
    parser.add_argument("--accept-empty", action="store_true", help="complete a request whose plan has no parts")
    parser.add_argument(
        "--accept-residue",
        action="store_true",
        help="complete although the last search found values left over; recorded",
    )


def _add_verify(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _action(
        actions,
        "verify",
        "show that exactly the announced parts are gone: log, vault and ledger have to agree",
        "pxl-audit dsr verify dsr-1a2b3c4d",
        "pxl-audit dsr verify --all --json",
    )
    _add_request(parser, optional=True)
    parser.add_argument("--all", action="store_true", help="every erasure that the log announces")


def _add_refuse(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    reasons = "\n".join(f"  {code:<22}{meaning}" for code, meaning in REASONS.items())
    parser = _action(
        actions,
        "refuse",
        "record that a request is refused, and destroy its identifiers",
        "pxl-audit dsr refuse dsr-1a2b3c4d --reason-code 17-3-e --as dpo",
    )
    parser.epilog = f"reason codes:\n{reasons}\n\n{parser.epilog}"
    _add_request(parser)
    parser.add_argument("--reason-code", metavar="CODE", required=True, choices=tuple(REASONS), help="see below")
    parser.add_argument("--as", dest="staff", metavar="NAME", default=None, help=_STAFF_HELP)


def _add_list(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _action(actions, "list", "all requests, the earliest due first", "pxl-audit dsr list --data var/audit")


def _add_request(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("request", metavar="ID", nargs="?" if optional else None, help="request id: dsr-1a2b3c4d")


def _run(args: argparse.Namespace) -> int:
    from compliance.cli.dsr_actions import ACTIONS  # brings in the engine; --help does without

    return ACTIONS[args.action](args)
