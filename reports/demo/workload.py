"""Which requests the demo makes: a mix of what services see, each with the answer that it must get."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from reports.demo.people import Person

HangUp = Literal["in the body", "waiting"]

SHARES = {
    "own profile": 0.12,
    "somebody else's profile": 0.04,
    "unknown user": 0.03,
    "unknown path": 0.01,
    "health": 0.02,
    "no token": 0.025,
    "wrong token": 0.015,
    "unreadable sequent": 0.035,
    "no JSON": 0.01,
    "crash in the core": 0.01,
    "slow proof": 0.01,
    "hangs up": 0.015,
}
"""Share of each kind in all requests, at least two of each; the rest are proofs."""

PROOFS: tuple[tuple[str, bool], ...] = (
    ("p -> q, p |- q", True),
    ("p -> q, q |- p", False),
    ("p -> q, ~q |- ~p", True),
    ("|- ((p -> q) -> p) -> p", True),
    ("p | q, ~p |- q", True),
    ("p | q |- p & q", False),
    ("p <-> q, q <-> r |- p <-> r", True),
    ("~(p & q) |- ~p | ~q", True),
    ("p -> (q -> r) |- (p -> q) -> r", False),
    ("(p -> r), (q -> r) |- (p | q) -> r", True),
    ("x1 | x2, x3 | x4, x5 | x6, ~(x1 & x3), ~(x1 & x5), ~(x3 & x5), ~(x2 & x4), ~(x2 & x6), ~(x4 & x6) |-", True),
)
"""Sequents and whether they can be proved. The last one: three pigeons do not fit into two holes."""

UNREADABLE = ("p -> |- q", "(p & q |- p", "p ? q |- p", "p, q", "p |- q |- r")


@dataclass(frozen=True)
class Ask:
    """One request to the gateway, and what must come of it."""

    kind: str
    person: Person
    """Who makes it: address and program; whether the token is presented is in `headers`."""
    request_id: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    """The status that it must get if it gets any; None: it hangs up and gets none."""
    user_id: str | None
    """Whom the record must name."""
    provable: bool | None = None
    hang_up: HangUp | None = None

    @property
    def reaches_core(self) -> bool:
        """Whether the gateway forwards it."""
        return self.path == "/v1/proofs" and self.user_id is not None


class Workload:
    """Makes requests. `leaving` is the person who will be erased: others ask for their profile, too."""

    def __init__(self, people: list[Person], stranger: Person, leaving: Person, seed: int) -> None:
        self._people, self._stranger, self._leaving = people, stranger, leaving
        self._random = random.Random(seed)  # noqa: S311  # the mix need not be secret, but the same in every run

    def asks(self, count: int) -> list[Ask]:
        """`count` requests in random order."""
        makers: dict[str, Callable[[], Ask]] = {
            "own profile": lambda: self._profile("own profile", 200),
            "somebody else's profile": self._other_profile,
            "unknown user": self._unknown_user,
            "unknown path": lambda: self._get("unknown path", "/v2/proofs", self._anybody(), 404),
            "health": lambda: self._get("health", "/v1/health", self._stranger, 200, token=None),
            "no token": self._no_token,
            "wrong token": self._wrong_token,
            "unreadable sequent": self._unreadable,
            "no JSON": lambda: self._post("no JSON", b'{"sequent": "p |- p"', 400),
            "crash in the core": lambda: self._post("crash in the core", _sequent("|- p", fault="crash"), 500),
            "slow proof": self.slow,
            "hangs up": self._hangs_up,
        }
        asks = [self._profile("own profile", 200, person) for person in self._people]  # everybody is there
        asks.append(self._get("no token", _profile_path(self._leaving), self._leaving, 401, token=None))
        asks.append(self._get("somebody else's profile", _profile_path(self._leaving), self._people[-1], 403))
        for kind, share in SHARES.items():
            asks += [makers[kind]() for _ in range(max(2, round(count * share)))]
        asks += [self._proof() for _ in range(count - len(asks))]
        self._random.shuffle(asks)
        return asks

    def slow(self) -> Ask:
        """A proof that takes more than a second."""
        return self._post("slow proof", _sequent("p |- p", fault="slow"), 200, provable=True)

    def _anybody(self) -> Person:
        return self._random.choice(self._people)

    def _proof(self) -> Ask:
        sequent, provable = self._random.choice(PROOFS)
        return self._post("proof", _sequent(sequent), 200, provable=provable)

    def _unreadable(self) -> Ask:
        return self._post("unreadable sequent", _sequent(self._random.choice(UNREADABLE)), 422)

    def _profile(self, kind: str, status: int, person: Person | None = None) -> Ask:
        person = person or self._anybody()
        return self._get(kind, _profile_path(person), person, status)

    def _other_profile(self) -> Ask:
        asking, other = self._random.sample(self._people, 2)
        return self._get("somebody else's profile", _profile_path(other), asking, 403)

    def _unknown_user(self) -> Ask:
        path = f"/v1/users/nobody-{self._random.randrange(1000)}"
        return self._get("unknown user", path, self._anybody(), 404)

    def _no_token(self) -> Ask:
        return self._get("no token", f"/v1/users/{self._random.randrange(1000)}", self._stranger, 401, token=None)

    def _wrong_token(self) -> Ask:
        return self._get("wrong token", "/v1/proofs", self._stranger, 401, token=self._stranger.token)

    def _hangs_up(self) -> Ask:
        how: HangUp = self._random.choice(("in the body", "waiting"))
        return self._post("hangs up", _sequent("p |- p", fault="slow"), None, hang_up=how)

    def _get(self, kind: str, path: str, person: Person, status: int, token: str | None = "own") -> Ask:  # noqa: S107
        """`token`: `own` for the person's, None for none, else this one, which nobody holds."""
        headers = _headers(person, person.token if token == "own" else token)  # noqa: S105
        user_id = person.id if token == "own" else None  # noqa: S105
        return Ask(kind, person, headers["X-Request-ID"], "GET", path, headers, b"", status, user_id)

    def _post(
        self, kind: str, body: bytes, status: int | None, *, provable: bool | None = None, hang_up: HangUp | None = None
    ) -> Ask:
        person = self._anybody()
        headers = _headers(person, person.token) | {"Content-Type": "application/json"}
        request_id = headers["X-Request-ID"]
        return Ask(kind, person, request_id, "POST", "/v1/proofs", headers, body, status, person.id, provable, hang_up)


def _profile_path(person: Person) -> str:
    return f"/v1/users/{person.id}"


def _headers(person: Person, token: str | None) -> dict[str, str]:
    headers = {"X-Request-ID": str(uuid.uuid4()), "User-Agent": person.user_agent}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _sequent(sequent: str, **more: str) -> bytes:
    return json.dumps({"sequent": sequent, **more}).encode()


def kinds(asks: list[Ask]) -> Iterator[tuple[str, int]]:
    """Kinds of requests and how many there are of each."""
    for kind in ("proof", *SHARES):
        yield kind, sum(1 for ask in asks if ask.kind == kind)
