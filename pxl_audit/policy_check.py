"""What a policy means: which rule applies to a request and why the ones before it do not; which rules never apply.

Explaining uses the same tests as the policy itself (`Rule.fits_...`). What is not known of a request leaves a condition
open, so the answer may be "this rule, if the status is 5xx".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from pxl_audit.globs import covers
from pxl_audit.policy import Policy, Rule
from pxl_audit.policy_rule import ACTOR_KINDS, NO_ROUTE, statuses_of

Verdict = Literal["applies", "may-apply", "does-not-apply", "not-reached"]
_ANOTHER = "\0"
"""Stands for every value that no rule names."""


@dataclass(frozen=True)
class Request:
    """What is known of a request; None: not known. Route `(none)`: no route matched; status "none": none was sent."""

    method: str
    path: str
    route: str | None = None
    actor_kind: str | None = None
    service: str | None = None
    status: int | Literal["none"] | None = None


@dataclass(frozen=True)
class Step:
    """One rule on the way."""

    rule: str
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Remark:
    """Something about a rule: a `warning` that it can never apply, a `note` on what it means."""

    kind: Literal["warning", "note"]
    rule: str
    text: str


def explain(policy: Policy, request: Request) -> list[Step]:
    """The rules in order, `default` last; the last rule that `applies` or `may-apply` ends the way."""
    steps: list[Step] = []
    rivals: list[Rule] = []
    for rule in (*policy.rules, policy.default):
        against, unless = _conditions(rule, request)
        narrow = _narrowed(rule, request)
        if against:
            steps.append(Step(rule.name, "does-not-apply", tuple(against)))
        elif winners := _winners(rivals, narrow, _atoms((*policy.rules, narrow))):
            verb = "wins" if len(winners) == 1 else "win"
            steps.append(Step(rule.name, "not-reached", (f"{', '.join(winners)} before it {verb}",)))
        else:
            steps.append(Step(rule.name, "may-apply" if unless else "applies", tuple(unless)))
            rivals.append(rule)
    return steps


def _narrowed(rule: Rule, request: Request) -> Rule:
    """The rule, for this request alone as far as it is known; it stands beside the rule's own conditions, all met."""
    known: dict[str, tuple[int | str, ...]] = {"methods": (request.method,)}
    # A star in a path would be read as a glob; then the rule stays wider, and it is only reached more often.
    if request.path.startswith("/") and "*" not in request.path:
        known["paths"] = (request.path,)
    for name, value in (
        ("routes", request.route),
        ("actor_kinds", request.actor_kind),
        ("services", request.service),
        ("statuses", request.status),
    ):
        if value is not None and not (name == "routes" and "*" in str(value)):
            known[name] = (value,)
    return replace(rule, **known)  # type: ignore[arg-type]  # Rule checks each value itself


def _conditions(rule: Rule, request: Request) -> tuple[list[str], list[str]]:
    """Reasons against, and conditions that what is not known leaves open."""
    against, unless = [], []
    status = None if request.status == "none" else request.status
    route = None if request.route == NO_ROUTE else request.route
    tests: tuple[tuple[str, object, Iterable[object], Callable[[], bool]], ...] = (
        ("method", request.method, rule.methods, lambda: not rule.methods or request.method in rule.methods),
        ("path", request.path, rule.paths, lambda: rule.fits_path is None or bool(rule.fits_path(request.path))),
        ("service", request.service, rule.services, lambda: request.service in rule.services),
        ("route", request.route, rule.routes, lambda: rule.fits_route(route)),
        ("actor kind", request.actor_kind, rule.actor_kinds, lambda: rule.fits_kind(str(request.actor_kind))),
        ("status", request.status, rule.statuses, lambda: rule.fits_status(status)),
    )
    for what, known, wanted, fits in tests:
        if not wanted:
            continue
        told = " or ".join(map(str, wanted))
        if known is None:
            unless.append(f"if the {what} is {told}")
        elif not fits():
            against.append(f"the {what} is {known}, the rule wants {told}")
    return against, unless


def remarks(policy: Policy) -> list[Remark]:
    """Warnings of rules that can never apply, and notes on rules that mean more than they may seem to."""
    found: list[Remark] = []
    for position, rule in enumerate(policy.rules):
        winners = _winners(policy.rules[:position], rule, _atoms(policy.rules))
        if winners:
            verb = "always wins" if len(winners) == 1 else "together always win"
            if rule.record == "all" and any(o.paths and o.record == "none" for o in policy.rules if o.name in winners):
                verb += " (but for paths with . or .. segments)"
            found.append(
                Remark(
                    "warning",
                    rule.name,
                    f"can never apply: {', '.join(winners)} before it {verb}; move it up or remove it",
                )
            )
            continue
        found += [Remark("note", rule.name, text) for text in _notes(rule)]
    return found


def _notes(rule: Rule) -> list[str]:
    notes = []
    if not rule.known_at_entry and (rule.failure == "refuse" or rule.durability == "before-and-after"):
        demand = " and ".join(
            text
            for text, held in (
                ("failure = refuse", rule.failure == "refuse"),
                ("durability = before-and-after", rule.durability == "before-and-after"),
            )
            if held
        )
        notes.append(
            f"{demand} is decided before route, actor and status are known, so it holds for every request that may "
            "still come to this rule; conditions on method, path and service narrow that down"
        )
    if rule.record == "none" and not rule.statuses:
        notes.append(
            'leaves failures unrecorded too (401, 403, 5xx); statuses = ["2xx"] would leave out only what went well'
        )
    return notes


@dataclass(frozen=True)
class _Atoms:
    """Values that tell the rules of a policy apart, and one that stands for all others."""

    methods: frozenset[str]
    services: frozenset[str]
    kinds: frozenset[str]
    statuses: frozenset[int | None]


def _atoms(rules: Sequence[Rule]) -> _Atoms:
    groups = {given: frozenset(statuses_of(given)) for rule in rules for given in rule.statuses}
    # One status of each set that the rules cannot tell apart; 0 stands for one that no rule names.
    by_signature = {
        tuple(status in group for group in groups.values()): status for status in (0, None, *range(100, 600))
    }
    return _Atoms(
        frozenset({_ANOTHER, *(m for rule in rules for m in rule.methods)}),
        frozenset({_ANOTHER, *(s for rule in rules for s in rule.services)}),
        frozenset(ACTOR_KINDS),
        frozenset(by_signature.values()),
    )


def _winners(earlier: Sequence[Rule], rule: Rule, atoms: _Atoms) -> list[str]:
    """Names of the earlier rules that leave nothing to `rule`, or none.

    Exact where at most one of path and route matters to the earlier rules; else it may miss a rule that never
    applies, but never names one that does.
    """
    winners: set[str] = set()
    for method, service, kind, status in product(atoms.methods, atoms.services, atoms.kinds, atoms.statuses):
        if not _fits(rule, method, service, kind, status):
            continue
        rivals = [other for other in earlier if _fits(other, method, service, kind, status)]
        needed = _covering(rivals, rule)
        if needed is None:
            return []
        winners |= {other.name for other in needed}
    return [other.name for other in earlier if other.name in winners]


def _fits(rule: Rule, method: str, service: str, kind: str, status: int | None) -> bool:
    return rule.fits_entry(method, service) and rule.fits_kind(kind) and rule.fits_status(status)


def _covering(rivals: Sequence[Rule], rule: Rule) -> list[Rule] | None:
    """Rivals that fit every path and route that `rule` fits; one if one is enough."""
    for other in rivals:
        if covers(other.paths, rule.paths) and covers(other.routes, rule.routes):
            return [other]
    by_path = [other for other in rivals if covers(other.routes, rule.routes)]
    if by_path and covers([glob for other in by_path for glob in other.paths], rule.paths):
        return by_path
    by_route = [other for other in rivals if covers(other.paths, rule.paths)]
    if by_route and covers([glob for other in by_route for glob in other.routes], rule.routes):
        return by_route
    return None
