"""The audit policy: which requests are recorded, how durably, for how long, and with what left out. First match wins.

Route, actor and status are known only when the application has run, so a policy is asked twice. At the entry it says
what the strictest rule that may still apply demands; at the end, which rule applies. Rules are immutable and compiled
once; the answer at the end is looked up by (method, route, kind, service, status), and only where a rule has a
condition on the path is the path looked at. A path is used for that alone and kept nowhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import NamedTuple, TypeVar

from pxl_audit.errors import SettingsError
from pxl_audit.globs import Matcher
from pxl_audit.policy_rule import DURABILITIES, NO_ROUTE, WEBSOCKET, Durability, Failure, Rule, texts

__all__ = ["NO_ROUTE", "PLAIN_ENTRY", "WEBSOCKET", "Entry", "Policy", "Rule", "Unrecorded"]

DEFAULT_NAME = "default"
MAX_PLANS = 4096
_K = TypeVar("_K")
_V = TypeVar("_V")


class Entry(NamedTuple):
    """What has to hold before the application is called: the strictest that the request may still come to."""

    durability: Durability = "group"
    failure: Failure = "serve"


PLAIN_ENTRY = Entry()
_EntryPlan = Entry | tuple[tuple[Matcher | None, bool, Entry], ...]
"""The answer, or where the path decides: condition on the path, whether the rule is certain then, what it demands."""
_EndPlan = tuple[tuple[Matcher | None, Rule], ...]


@dataclass(frozen=True, eq=False)
class Policy:
    """Rules in order. Without any, every exchange is recorded, in groups, and served whatever happens to the log.

    Raises:
        SettingsError: two rules have one name, or a rule has the name `default`.
    """

    rules: tuple[Rule, ...] = ()
    mask_paths: tuple[str, ...] = ()
    """Patterns of `pxl_audit.masks.path_mask` that hold under every rule, before the rule's own."""

    default: Rule = field(init=False)
    """The rule of requests that no rule fits."""
    _asks_more: bool = field(init=False, repr=False, default=False)
    _entry_plans: dict[tuple[str, str], _EntryPlan] = field(init=False, repr=False, default_factory=dict)
    _intents: dict[tuple[str, ...], Rule] = field(init=False, repr=False, default_factory=dict)
    _end_plans: dict[tuple[str, str | None, str, str, int | None], _EndPlan] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Check the names, and give each rule the common masks."""
        names = [rule.name for rule in self.rules]
        for name in names:
            if name == DEFAULT_NAME or names.count(name) > 1:
                why = "is taken by what applies when no rule fits" if name == DEFAULT_NAME else "is used twice"
                raise SettingsError(f"rule {name!r}: the name {why}; give each rule a name of its own")
        common = tuple(texts("mask_paths", self.mask_paths))
        rules = [
            replace(rule, mask_paths=common + rule.mask_paths) if common and rule.record == "all" else rule
            for rule in self.rules
        ]
        object.__setattr__(self, "rules", tuple(rules))
        object.__setattr__(self, "mask_paths", common)
        object.__setattr__(self, "default", Rule(DEFAULT_NAME, mask_paths=common))
        object.__setattr__(self, "_asks_more", any(_demand(rule) != PLAIN_ENTRY for rule in rules))

    def at_entry(self, method: str, path: str, service: str) -> Entry:
        """The strictest consequences among the rules that may still apply, up to the first that is certain to.

        `method` as it is recorded (a registered one or `_OTHER`), `WEBSOCKET` for a WebSocket.
        """
        if not self._asks_more:
            return PLAIN_ENTRY
        plan = self._entry_plans.get((method, service))
        if plan is None:
            plan = _kept(self._entry_plans, (method, service), _entry_plan(self.rules, method, service))
        if isinstance(plan, Entry):
            return plan
        entry = PLAIN_ENTRY
        for fits, certain, demand in plan:
            if fits is None or fits(path):
                entry = _stricter(entry, demand)
                if certain:
                    break
        return entry

    def for_intent(self, method: str, path: str, service: str) -> Rule:
        """How an intent is recorded: with all left out that any rule leaves out that may still apply."""
        rules = []
        for rule in self.rules:
            if rule.fits_entry(method, service) and (rule.fits_path is None or rule.fits_path(path)):
                rules.append(rule)
                if rule.known_at_entry:
                    break
        key = tuple(rule.name for rule in rules)
        found = self._intents.get(key)
        return _kept(self._intents, key, _together(rules, self.default)) if found is None else found

    def at_end(
        self, method: str, path: str, route: str | None, actor_kind: str, service: str, status: int | None
    ) -> Rule:
        """The rule that applies.

        A request whose intent was recorded at the entry gets its end recorded too, even if a `none` rule applies: then
        as `default` says.
        """
        key = (method, route, actor_kind, service, status)
        plan = self._end_plans.get(key)
        if plan is None:
            plan = _kept(self._end_plans, key, self._end_plan(*key))
        for fits, rule in plan:
            if fits is None or fits(path):
                return rule
        return self.default

    def _end_plan(self, method: str, route: str | None, actor_kind: str, service: str, status: int | None) -> _EndPlan:
        """The rules that only the path still decides between, up to the first without a condition on it."""
        plan: list[tuple[Matcher | None, Rule]] = []
        for rule in self.rules:
            fits = rule.fits_entry(method, service) and rule.fits_kind(actor_kind) and rule.fits_status(status)
            if fits and rule.fits_route(route):
                plan.append((rule.fits_path, rule))
                if rule.fits_path is None:
                    break
        return tuple(plan)


class Unrecorded:
    """Counts requests that a `none` rule left unrecorded, by the name of the rule; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def count(self, rule: str) -> None:
        """One more request under the rule of this name."""
        with self._lock:
            self._counts[rule] = self._counts.get(rule, 0) + 1

    def take(self) -> dict[str, int]:
        """The counts since the last call, in order of names; they start again from nothing."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return dict(sorted(counts.items()))


def _demand(rule: Rule) -> Entry:
    return Entry(rule.durability, rule.failure)


def _stricter(one: Entry, other: Entry) -> Entry:
    if other in (one, PLAIN_ENTRY):
        return one
    return Entry(
        max(one.durability, other.durability, key=DURABILITIES.index),
        "refuse" if "refuse" in (one.failure, other.failure) else "serve",
    )


def _entry_plan(rules: Iterable[Rule], method: str, service: str) -> _EntryPlan:
    plan: list[tuple[Matcher | None, bool, Entry]] = []
    for rule in rules:
        # A rule that demands nothing matters only if it is certain, because it hides those after it.
        if rule.fits_entry(method, service) and (rule.known_at_entry or _demand(rule) != PLAIN_ENTRY):
            plan.append((rule.fits_path, rule.known_at_entry, _demand(rule)))
            if rule.fits_path is None and rule.known_at_entry:
                break
    while plan and plan[-1][2] == PLAIN_ENTRY:
        plan.pop()
    if any(fits is not None for fits, _, _ in plan):
        return tuple(plan)
    return reduce(_stricter, (demand for _, _, demand in plan), PLAIN_ENTRY)


def _together(rules: Sequence[Rule], default: Rule) -> Rule:
    bits = [rule.address_bits for rule in rules if rule.address_bits is not None]
    return replace(
        default,
        name="intent",
        drop=tuple(dict.fromkeys(name for rule in rules for name in rule.drop)),
        mask_paths=tuple(dict.fromkeys(mask for rule in (default, *rules) for mask in rule.mask_paths)),
        address_bits=(min(v4 for v4, _ in bits), min(v6 for _, v6 in bits)) if bits else None,
    )


def _kept(plans: dict[_K, _V], key: _K, plan: _V) -> _V:
    # Routes may come from a resolver that gets them wrong; memory stays bounded all the same.
    if len(plans) >= MAX_PLANS:
        plans.clear()
    plans[key] = plan
    return plan
