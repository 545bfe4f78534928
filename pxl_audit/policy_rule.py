"""One rule of an audit policy: its conditions, its consequences, and what both mean; checked and compiled once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pxl_audit.errors import SettingsError
from pxl_audit.event import ActorPart, TargetPart
from pxl_audit.globs import Matcher, glob_problem, matcher

RecordChoice = Literal["all", "none"]
Durability = Literal["group", "before-end", "before-and-after"]
Failure = Literal["serve", "refuse"]
Retention = Literal["access", "security", "control"]

WEBSOCKET = "WEBSOCKET"
"""The method of a WebSocket in a policy; the handshake's GET (or CONNECT) would not tell it from a request."""
OTHER_METHOD = "_OTHER"
NO_ROUTE = "(none)"
"""Among `routes`: requests that no route matched."""
NO_STATUS = "none"
"""Among `statuses`: requests that ended without a status (client gone, cancelled)."""
ACTOR_KINDS = ("anonymous", "user", "service")
DURABILITIES: tuple[Durability, ...] = get_args(Durability)
"""From the least to the strictest."""

_NAME = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_CONDITIONS = ("methods", "paths", "routes", "actor_kinds", "services", "statuses")
_LISTS = (*_CONDITIONS, "drop", "mask_paths", "mask_query")
_CONSEQUENCES = ("durability", "failure", "retention", "drop", "keep_query", "address_bits", "mask_paths", "mask_query")


def _attributes(part: type[ActorPart | TargetPart]) -> dict[str, str]:
    return dict(zip(part.__struct_encode_fields__, part.__struct_fields__, strict=True))


ACTOR_MEMBERS = _attributes(ActorPart)
TARGET_MEMBERS = _attributes(TargetPart)
"""Names of the members of the parts, as recorded and as in `drop`, with the attributes that hold them."""


@dataclass(frozen=True, eq=False)
class Rule:
    """Conditions and consequences. A condition left empty is met by every request; all of them must be met.

    Raises:
        SettingsError: a value is not one of those allowed; names the rule and the field.
    """

    name: str
    """Lower-case words joined by dashes, at most 40 characters; it stands in records, so it names nobody."""
    methods: tuple[str, ...] = ()
    """Registered methods, `_OTHER` for all others, `WEBSOCKET`."""
    paths: tuple[str, ...] = ()
    """Globs on the raw path (`pxl_audit.globs`)."""
    routes: tuple[str, ...] = ()
    """Globs on the route template; `(none)` where no route matched."""
    actor_kinds: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """Names of services, whole."""
    statuses: tuple[int | str, ...] = ()
    """404, "4xx", or "none"."""

    record: RecordChoice = "all"
    durability: Durability = "group"
    failure: Failure = "serve"
    retention: Retention | None = None
    """None: `security` for 401 and 403, else `access`."""
    drop: tuple[str, ...] = ()
    """Members of the parts that are left out, such as `user_agent.original`."""
    keep_query: bool = False
    address_bits: tuple[int, int] | None = None
    """At most so many bits of IPv4 and IPv6 addresses are kept; None leaves them as the middleware has them."""
    mask_paths: tuple[str, ...] = ()
    """Patterns of `pxl_audit.masks.path_mask`."""
    mask_query: tuple[str, ...] = ()
    """Further parameters to mask where the query is kept; those that usually hold secrets always are."""

    fits_path: Matcher | None = field(init=False, repr=False, default=None)
    """None: every path fits."""
    _fits_route: Matcher | None = field(init=False, repr=False, default=None)
    _statuses: frozenset[int | None] = field(init=False, repr=False, default=frozenset())
    _mask: Callable[[str], str] | None = field(init=False, repr=False, default=None)
    _dropped: tuple[tuple[str, ...], tuple[str, ...]] = field(init=False, repr=False, default=((), ()))

    def __post_init__(self) -> None:
        """Check, and compile once."""
        try:
            _check(self)
            compiled = _compile(self)
        except SettingsError as error:
            raise SettingsError(f"rule {self.name!r}: {error}") from None
        for name, value in compiled.items():
            object.__setattr__(self, name, value)

    def fits_entry(self, method: str, service: str) -> bool:
        """Whether the conditions on method and service are met."""
        return (not self.methods or method in self.methods) and (not self.services or service in self.services)

    def fits_route(self, route: str | None) -> bool:
        """Whether the condition on the route is met."""
        return self._fits_route is None or bool(self._fits_route(NO_ROUTE if route is None else route))

    def fits_kind(self, actor_kind: str) -> bool:
        """Whether the condition on the kind of actor is met."""
        return not self.actor_kinds or actor_kind in self.actor_kinds

    def fits_status(self, status: int | None) -> bool:
        """Whether the condition on the status is met."""
        return not self.statuses or status in self._statuses

    @property
    def known_at_entry(self) -> bool:
        """Whether the entry already decides: no condition on route, actor or status."""
        return not (self.routes or self.actor_kinds or self.statuses)

    def retention_for(self, status: int | None) -> Retention:
        """The retention class of a record under this rule."""
        if self.retention is not None:
            return self.retention
        return "security" if status in (401, 403) else "access"

    def masked_path(self, path: str) -> str:
        """The path as it may be recorded. Mask first, limit afterwards: a cut path may no longer fit its mask."""
        return path if self._mask is None else self._mask(path)

    def query_of(self, query: bytes) -> str | None:
        """The query as it may be recorded, within its limit; None where the rule does not keep it."""
        if not self.keep_query or not query:
            return None
        from pxl_audit.masks import LIMITS, limited, masked_query  # noqa: PLC0415  # only where a rule keeps queries

        return limited(masked_query(query, self.mask_query), LIMITS["url.query"])

    def minimise(self, actor: ActorPart, target: TargetPart) -> None:
        """Take out of the parts what the rule drops, and shorten addresses; in place."""
        if self.address_bits is not None:
            _narrow(actor, self.address_bits)
        for attribute in self._dropped[0]:
            setattr(actor, attribute, None)
        for attribute in self._dropped[1]:
            setattr(target, attribute, None)


def _narrow(actor: ActorPart, bits: tuple[int, int]) -> None:
    from pxl_audit.client_address import truncated  # noqa: PLC0415  # only where a rule shortens addresses

    for attribute in ("client_address", "network_peer_address"):
        address = getattr(actor, attribute)
        if address is None:
            continue
        bare, _, shown = address.partition("/")
        most = (min(bits[0], int(shown)), min(bits[1], int(shown))) if shown.isdecimal() else bits
        setattr(actor, attribute, truncated(bare, *most) if shown.isdecimal() or not shown else address)


def _check(rule: Rule) -> None:
    name_given: object = rule.name
    if not isinstance(name_given, str) or not re.fullmatch(_NAME, name_given) or len(name_given) > 40:
        raise SettingsError("name: expected lower-case words joined by dashes, at most 40 characters")
    for name in _LISTS:
        object.__setattr__(rule, name, texts(name, getattr(rule, name), numbers=name == "statuses"))
    for name, allowed in (
        ("record", get_args(RecordChoice)),
        ("durability", DURABILITIES),
        ("failure", get_args(Failure)),
        ("retention", (None, *get_args(Retention))),
        ("keep_query", (False, True)),
    ):
        # Types too: 1 == True, but a file says true or false.
        if not any(type(getattr(rule, name)) is type(a) and getattr(rule, name) == a for a in allowed):
            raise SettingsError(_expected(name, getattr(rule, name), allowed))
    _check_members("actor_kinds", rule.actor_kinds, ACTOR_KINDS)
    _check_members("drop", rule.drop, (*ACTOR_MEMBERS, *TARGET_MEMBERS))
    if rule.methods:
        from pxl_audit.exchange import METHODS  # noqa: PLC0415  # the capture path may import this module

        _check_members("methods", rule.methods, (*sorted(METHODS), OTHER_METHOD, WEBSOCKET))
    for name in ("paths", "routes"):
        for glob in getattr(rule, name):
            problem = glob_problem(glob)
            if problem and not (name == "routes" and glob == NO_ROUTE):
                raise SettingsError(f"{name}: {glob!r}: {problem}")
    _check_bits(rule)
    if rule.record == "none":
        for name in _CONSEQUENCES:
            if getattr(rule, name) != Rule.__dataclass_fields__[name].default:
                raise SettingsError(f'{name}: has no meaning with record = "none"; leave it out, or record')


def _check_bits(rule: Rule) -> None:
    given: object = rule.address_bits
    if given is None:
        return
    bits = [b for b in given if type(b) is int] if isinstance(given, (list, tuple)) and len(given) == 2 else []
    if len(bits) != 2 or not (0 <= bits[0] <= 32 and 0 <= bits[1] <= 128):
        raise SettingsError(
            f"address_bits: expected bits of IPv4 (0 to 32) and IPv6 (0 to 128), such as [24, 48], found {given!r}"
        )
    object.__setattr__(rule, "address_bits", (bits[0], bits[1]))


def _compile(rule: Rule) -> dict[str, object]:
    compiled: dict[str, object] = {}
    if rule.paths:
        # Whoever can write `/health/../admin` must not choose by it that nothing is recorded.
        compiled["fits_path"] = matcher(rule.paths, plain_only=rule.record == "none")
    if rule.routes:
        compiled["_fits_route"] = matcher(rule.routes)
    compiled["_statuses"] = frozenset(status for given in rule.statuses for status in statuses_of(given))
    if rule.mask_paths:
        from pxl_audit.masks import path_mask  # noqa: PLC0415  # only policies with masks pay for it

        try:
            compiled["_mask"] = path_mask(rule.mask_paths)
        except SettingsError as error:
            raise SettingsError(f"mask_paths: {error}") from None
    compiled["_dropped"] = (
        tuple(ACTOR_MEMBERS[name] for name in rule.drop if name in ACTOR_MEMBERS),
        tuple(TARGET_MEMBERS[name] for name in rule.drop if name in TARGET_MEMBERS),
    )
    return compiled


def statuses_of(given: int | str) -> Sequence[int | None]:
    """The statuses that 404, "404", "4xx" or "none" stand for.

    Raises:
        SettingsError: it is none of these.
    """
    text = str(given)
    if text == NO_STATUS:
        return (None,)
    if not isinstance(given, bool) and re.fullmatch(r"[1-5](\d\d|xx)", text, re.ASCII):
        first = int(text.replace("x", "0"))
        return range(first, first + 100) if text.endswith("x") else (first,)
    raise SettingsError(f'statuses: expected such as 404, "4xx" or "none", found {given!r}')


def texts(name: str, value: object, *, numbers: bool = False) -> tuple[str, ...]:
    """A list of texts that are not empty (`numbers`: or integers), as a tuple.

    Raises:
        SettingsError: it is something else, such as one text.
    """
    kinds: tuple[type, ...] = (str, int) if numbers else (str,)
    if isinstance(value, (list, tuple)) and all(isinstance(v, kinds) and v != "" for v in value):
        return tuple(value)
    raise SettingsError(f"{name}: expected a list of {'texts and numbers' if numbers else 'texts'}, found {value!r}")


def _check_members(name: str, values: Iterable[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise SettingsError(f"{name}: unknown {value!r}{nearest(value, known)}")


def _expected(name: str, value: object, allowed: Sequence[object]) -> str:
    known = [str(a).lower() if isinstance(a, bool) else str(a) for a in allowed if a is not None]
    hint = nearest(value, known) if isinstance(value, str) else ""
    return f"{name}: expected {' or '.join(known)}, found {value!r}{hint}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at what was meant, to end an error message with."""
    import difflib  # noqa: PLC0415  # only mistakes pay for it

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
