"""`pxl-audit policy check`: is a policy file well-formed, can each rule apply, and which one applies to a request."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from pxl_audit.cli.command import EXIT_FOUND_BAD, EXIT_GOOD, Command, add_json_option, examples
from pxl_audit.errors import UsageError

if TYPE_CHECKING:
    from pxl_audit.policy import Entry, Policy, Rule
    from pxl_audit.policy_check import Remark, Request, Step

_CONDITIONS = ("methods", "paths", "routes", "actor_kinds", "services", "statuses")
_CONSEQUENCES = ("durability", "failure", "retention", "drop", "keep_query", "address_bits", "mask_paths", "mask_query")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = examples("pxl-audit policy check policy.toml")
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    check = subparsers.add_parser(
        "check",
        help="check a policy file; say which rule applies to a request, and why",
        description=(
            "Check a policy file, list its rules, and warn of rules that can never apply. With --request, say which\n"
            "rule applies and why each one before it does not; what is left out of the request stays open.\n\n"
            "Ends with 0: well-formed; 1: with warnings; 64: not a policy, or wrong usage."
        ),
        epilog=examples(
            "pxl-audit policy check policy.toml",
            "pxl-audit policy check policy.toml --request 'GET /v1/users/7'",
            "pxl-audit policy check policy.toml --request 'GET /v1/users/7' --route '/v1/users/{user_id}' --status 404",
            "pxl-audit policy check policy.toml --request 'WEBSOCKET /v1/feed' --actor-kind anonymous",
            "pxl-audit policy check policy.toml --json | jq '.remarks[]'",
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("file", metavar="FILE", help="a TOML file with [[rule]] tables, as docs/policy.md describes it")
    check.add_argument("--request", metavar="'METHOD /PATH'", help="explain which rule applies to this request")
    check.add_argument("--route", metavar="TEMPLATE", help="its route template; '(none)' if no route matches")
    check.add_argument("--actor-kind", choices=("anonymous", "user", "service"), help="its kind of actor")
    check.add_argument("--status", metavar="N", help="its status, 100 to 599; 'none' if it ends without one")
    check.add_argument("--service", metavar="NAME", help="the service that it comes to")
    add_json_option(check)
    check.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from pxl_audit.policy_check import explain, remarks
    from pxl_audit.policy_file import load_policy

    request = _request(args)
    policy = load_policy(args.file)
    found = remarks(policy)
    steps = explain(policy, request) if request is not None else None
    if args.json:
        print(json.dumps(_document(policy, found, request, steps)))
    else:
        _print_rules(policy, found)
        if request is not None and steps is not None:
            _print_steps(policy, request, steps)
        _print_next(args.file, found, explained=request is not None)
    return EXIT_FOUND_BAD if any(remark.kind == "warning" for remark in found) else EXIT_GOOD


def _request(args: argparse.Namespace) -> Request | None:
    from pxl_audit.exchange import METHODS
    from pxl_audit.policy_check import Request
    from pxl_audit.policy_rule import OTHER_METHOD, WEBSOCKET

    status = _status(args.status)
    if args.request is None:
        for option in ("route", "actor_kind", "status", "service"):
            if getattr(args, option) is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')}: describes a request; name it with --request 'GET /path'"
                )
        return None
    method, _, path = args.request.strip().partition(" ")
    path = path.strip()
    if not path.startswith("/") and path != "*":
        raise UsageError("--request: expected a method and a path, such as --request 'GET /v1/users/7'")
    if "?" in path:
        raise UsageError("--request: expected a path without a query; a policy has no conditions on queries")
    known = method in METHODS or method == WEBSOCKET
    return Request(method if known else OTHER_METHOD, path, args.route, args.actor_kind, args.service, status)


def _status(text: str | None) -> int | Literal["none"] | None:
    if text is None or text == "none":
        return "none" if text else None
    if not (text.isascii() and text.isdigit() and 100 <= int(text) <= 599):
        raise UsageError(f"--status {text}: expected 100 to 599, or none")
    return int(text)


def _document(
    policy: Policy, found: list[Remark], request: Request | None, steps: list[Step] | None
) -> dict[str, object]:
    document: dict[str, object] = {
        "rules": [{"name": rule.name, **_set(rule, ("record", *_CONDITIONS, *_CONSEQUENCES))} for rule in policy.rules],
        "mask_paths": policy.mask_paths,
        "remarks": [asdict(remark) for remark in found],
    }
    if request is not None and steps is not None:
        document["request"] = asdict(request)
        document["steps"] = [asdict(step) for step in steps]
        document["entry"] = _entry(policy, request)._asdict()
        document["applies"] = [step.rule for step in steps if step.verdict in ("applies", "may-apply")]
    return document


def _set(rule: Rule, names: tuple[str, ...]) -> dict[str, object]:
    """The fields that are not as they are by default."""
    values = {name: getattr(rule, name) for name in names}
    return {name: value for name, value in values.items() if value not in ((), None, False, "group", "serve")}


def _entry(policy: Policy, request: Request) -> Entry:
    """What the entry demands; a service that is not known may be any that the rules name."""
    from pxl_audit.policy import Entry
    from pxl_audit.policy_rule import DURABILITIES

    named = [service for rule in policy.rules for service in rule.services]
    services = [request.service] if request.service is not None else [*named, ""]
    entries = [policy.at_entry(request.method, request.path, service) for service in services]
    return Entry(
        max((entry.durability for entry in entries), key=DURABILITIES.index),
        "refuse" if any(entry.failure == "refuse" for entry in entries) else "serve",
    )


def _print_rules(policy: Policy, found: list[Remark]) -> None:
    print(f"{len(policy.rules)} rules, the first that fits applies; default: all recorded")
    for number, rule in enumerate(policy.rules, 1):
        print(f"  {number:>2} {rule.name}: record {rule.record}")
        for name, value in _set(rule, (*_CONDITIONS, *_CONSEQUENCES)).items():
            told = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
            print(f"       {'if ' if name in _CONDITIONS else ''}{name} {told}")
    for remark in found:
        print(f"  {remark.kind}: {remark.rule}: {remark.text}")


def _print_steps(policy: Policy, request: Request, steps: list[Step]) -> None:
    print(f"request {request.method} {request.path}")
    for step in steps:
        if step.verdict == "does-not-apply":
            print(f"  {step.rule}: does not apply: {'; '.join(step.reasons)}")
        elif step.verdict == "not-reached":
            print(f"  {step.rule}: not reached: {step.reasons[0]}")
        elif step.verdict == "may-apply":
            print(f"  {step.rule}: APPLIES {' and '.join(step.reasons)}; else")
        elif step.verdict == "applies":
            print(f"  {step.rule}: APPLIES")
    entry = _entry(policy, request)
    print(f"  before the application is called: durability {entry.durability}, failure {entry.failure}")


def _print_next(file: str, found: list[Remark], *, explained: bool) -> None:
    if any(remark.kind == "warning" for remark in found):
        print("Next: change the rules that the warnings name, and check again.")
    elif not explained:
        print(f"Next: see what a request comes to: pxl-audit policy check {file} --request 'GET /v1/users/7'")
    elif any(remark.kind == "note" for remark in found):
        print("Next: read the notes; then give the file to the service: AuditMiddleware(app, policy=...).")
    else:
        print("Next: give the file to the service: AuditMiddleware(app, policy=...).")


COMMAND = Command("policy", "the audit policy: check a file, explain which rule applies", _configure)
