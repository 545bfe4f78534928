"""For the tests of services: records kept in memory, and assertions about them. Needs no test framework.

::

    from pxl_audit.testing import recorded

    def test_denied():
        with recorded() as records:
            TestClient(app).get("/v1/users/7")
        records.one(event="http.request", status=403, route="/v1/users/{id}", user="alice")
        records.none(event="data.exported")

No file is written and no process started. Everything in this process that records is captured, whichever thread it
runs in and whichever data directory it names.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, Unpack

import msgspec

from pxl_audit.errors import UnavailableError
from pxl_audit.event import Json, decode_event, make_event
from pxl_audit.recorder import Recorder, overridden
from pxl_audit.testing_report import Difference, explain_missing, explain_surplus

DEFAULT_SERVICE = "test"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One record. The members are named like the columns of the vault; the personal parts are plain dicts.

    `actor` has members such as `user.id`, `client.address`, `trace_id`; `target` such as `url.path`,
    `audit.target.id`, `pxl.attributes`. docs/format.md section 2 lists them.
    """

    service: str
    event: str
    method: str | None
    route: str | None
    status: int | None
    outcome: str
    ending: str
    actor_kind: str
    retention: str
    error_type: str | None
    time_us: int
    """Microseconds since 1970, as the service wrote it; the log keeps whole seconds."""
    duration_us: int | None
    first_byte_us: int | None
    application_us: int | None
    request_bytes: int
    response_bytes: int
    facts: dict[str, int | str]
    actor: dict[str, Json]
    target: dict[str, Json]

    @property
    def user(self) -> Json:
        """Id of the user, who was authenticated; None if nobody was."""
        return self.actor.get("user.id")

    @property
    def attempted_user(self) -> Json:
        """Id claimed by a sign-in that failed."""
        return self.actor.get("pxl.attempted_user.id")

    @property
    def request_id(self) -> Json:
        """Request id; the same in the record of a request and of what happened inside."""
        return self.actor.get("pxl.request.id")

    @property
    def path(self) -> Json:
        """Raw path of the request."""
        return self.target.get("url.path")

    @property
    def target_id(self) -> Json:
        """Id of the thing acted upon."""
        return self.target.get("audit.target.id")

    @property
    def attributes(self) -> dict[str, Json]:
        """Attributes given by the service."""
        given = self.target.get("pxl.attributes")
        return dict(given) if isinstance(given, dict) else {}


class Wanted(TypedDict, total=False):
    """What a record is asked for: members of `Recorded`. None means that the record must have none.

    Of `facts`, `attributes`, `actor` and `target` only the named members are compared.
    """

    service: str
    event: str
    method: str | None
    route: str | None
    status: int | None
    outcome: str
    ending: str
    actor_kind: str
    retention: str
    error_type: str | None
    request_bytes: int
    response_bytes: int
    user: str | None
    attempted_user: str | None
    request_id: str | None
    path: str | None
    target_id: str | None
    facts: dict[str, int | str]
    attributes: dict[str, Json]
    actor: dict[str, Json]
    target: dict[str, Json]


class Records:
    """What was recorded, in order. Iterate over it, or ask with `one`, `none`, `all`."""

    def __init__(self) -> None:
        self._records: list[Recorded] = []
        self._recorders: dict[str, MemoryRecorder] = {}
        self._lock = threading.Lock()
        self._open = True

    def __iter__(self) -> Iterator[Recorded]:
        """The records, oldest first."""
        return iter(tuple(self._records))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._records)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        with self._lock:
            self._records.clear()

    def all(self, **wanted: Unpack[Wanted]) -> tuple[Recorded, ...]:
        """Every record that matches; all of them when nothing is asked for."""
        return tuple(record for record in self if not any(d.wrong for d in _compare(record, wanted)))

    def one(self, **wanted: Unpack[Wanted]) -> Recorded:
        """The one record that matches.

        Raises:
            AssertionError: none or several do; shows the nearest record and where it differs.
        """
        __tracebackhide__ = True  # pytest then shows the caller's line
        found = self.all(**wanted)
        if len(found) == 1:
            return found[0]
        if found:
            raise AssertionError(explain_surplus("one record", dict(wanted), found))
        raise AssertionError(explain_missing(dict(wanted), [_compare(record, wanted) for record in self]))

    def none(self, **wanted: Unpack[Wanted]) -> None:
        """Check that no record matches.

        Raises:
            AssertionError: one does; shows it.
        """
        __tracebackhide__ = True  # as above
        found = self.all(**wanted)
        if found:
            raise AssertionError(explain_surplus("no record", dict(wanted), found))

    def recorder_of(self, service: str) -> MemoryRecorder:
        """The recorder of one service; "" for that of the service that asked first."""
        with self._lock:
            if not service:
                service = next(iter(self._recorders), DEFAULT_SERVICE)
            if service not in self._recorders:
                self._recorders[service] = MemoryRecorder(service, self)
            return self._recorders[service]

    def take(self, payload: bytes) -> int:
        """Keep an event as a service would write it to its spool; its number, from 1."""
        with self._lock:
            if not self._open:
                raise UnavailableError("recorded(): the block has ended, and with it its recorder")
            self._records.append(_read(payload))
            return len(self._records)

    @property
    def is_open(self) -> bool:
        """Whether the block of `recorded()` still runs."""
        return self._open

    def end(self) -> None:
        """Take no more events; what was recorded stays."""
        with self._lock:
            self._open = False


class MemoryRecorder(Recorder):
    """A recorder without files, thread and agent: what it takes is durable at once."""

    def __init__(self, service: str, records: Records) -> None:
        # Recorder's own initialiser opens a spool, so it is left alone and all that is public is replaced below.
        self.service = service
        self.pid = os.getpid()
        self._records = records

    def begin(self) -> None:
        """Nothing to count: what is cut off by a kill takes the memory with it."""

    def append(self, payload: bytes, now_us: int, *, ends_request: bool = False) -> int:  # noqa: ARG002  # as Recorder
        """Keep the event."""
        return self._records.take(payload)

    async def durable(self, seq: int) -> None:
        """Return at once."""

    def wait_durable(self, seq: int, timeout_seconds: float) -> bool:  # noqa: ARG002  # as Recorder
        """True at once."""
        return True

    def report_gap(self, cause: str, count: int, from_us: int) -> None:  # noqa: ARG002  # as Recorder
        """Keep the gap as a record `audit.gap`, so that a test sees it. Never raises."""
        if not self.closed:
            self._records.take(make_event("audit.gap", outcome="failure", facts={"cause": cause, "count": count}))

    def close(self, timeout_seconds: float = 30.0) -> None:
        """Nothing to write; the recorder stays usable, as a service may be started again in the same test."""

    def abandon_in_child(self) -> None:
        """Nothing to let go of."""

    @property
    def closed(self) -> bool:
        """Whether the block of `recorded()` has ended: the middleware then asks for another recorder."""
        return not self._records.is_open


@contextmanager
def recorded() -> Iterator[Records]:
    """Capture all records of this process in memory until the block ends; they stay readable afterwards."""
    records = Records()
    try:
        with overridden(records.recorder_of):
            yield records
    finally:
        records.end()


def _read(payload: bytes) -> Recorded:
    event = decode_event(payload)
    return Recorded(
        service=event.s,
        event=event.e,
        method=event.m,
        route=event.r,
        status=event.c,
        outcome=event.o,
        ending=event.n,
        actor_kind=event.k,
        retention=event.p,
        error_type=event.g,
        time_us=event.t,
        duration_us=event.d,
        first_byte_us=event.h,
        application_us=event.w,
        request_bytes=event.i,
        response_bytes=event.u,
        facts=event.f or {},
        actor=_part(event.actor),
        target=_part(event.target),
    )


def _part(raw: msgspec.Raw | msgspec.UnsetType) -> dict[str, Json]:
    if isinstance(raw, msgspec.UnsetType):
        return {}
    members: dict[str, Json] = msgspec.json.decode(raw, type=dict)
    return members


def _compare(record: Recorded, wanted: Wanted) -> list[Difference]:
    """One comparison a wanted member, in the order they were asked for."""
    return [_difference(record, name, value) for name, value in wanted.items()]


def _difference(record: Recorded, name: str, wanted: object) -> Difference:
    if name not in Wanted.__annotations__:
        known = ", ".join(sorted(Wanted.__annotations__))
        raise TypeError(f"{name!r} is nothing that a record can be asked for: expected one of {known}")
    found: object = getattr(record, name)
    if isinstance(wanted, dict) and isinstance(found, dict):
        found = {key: found[key] for key in wanted if key in found}
    return Difference(name, found, wanted)
