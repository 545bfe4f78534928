"""What stands behind `pxl_audit.events`: a name, a retention class, and how a call becomes a record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Generic, Literal, ParamSpec

from pxl_audit.actor import Actor
from pxl_audit.event import Json
from pxl_audit.record import record, record_sync

Outcome = Literal["success", "failure", "unknown"]
Retention = Literal["access", "security", "control"]
P = ParamSpec("P")


@dataclass(frozen=True)
class Facets:
    """What one call says about its event."""

    target: str | None = None
    """Id of the thing acted upon."""
    actor: str | Actor | None = None
    """Who did it; None means the request's own user."""
    outcome: Outcome = "success"
    durable: bool = False
    attributes: Mapping[str, Json | Sequence[str]] = field(default_factory=dict)
    """More about it, into the erasable part `target`; members that are None are left out."""


class DomainEvent(Generic[P]):
    """A named event. Await the call; in code without an event loop call `.sync(...)` with the same arguments.

    Raises, both ways:
        UsageError: a value is outside what the format allows.
        UnavailableError: there is no audit log in this process, or (`durable`) it cannot take the event now.
    """

    def __init__(self, name: str, retention: Retention, facets: Callable[P, Facets]) -> None:
        self.name = name
        """What stands in the record, such as `auth.login`."""
        self.retention: Retention = retention
        """How long it is kept: the class of its records."""
        self._facets = facets
        # So that help(), inspect.signature() and editors show the function as it was written.
        update_wrapper(self, facets)
        self.__signature__ = inspect.signature(facets)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Record the event."""
        facets = self._facets(*args, **kwargs)
        await record(
            self.name,
            actor=facets.actor,
            target=facets.target,
            outcome=facets.outcome,
            attributes=_given(facets.attributes),
            retention=self.retention,
            durable=facets.durable,
        )

    def sync(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Record the event from code without an event loop; with `durable` this thread waits for the disk."""
        facets = self._facets(*args, **kwargs)
        record_sync(
            self.name,
            actor=facets.actor,
            target=facets.target,
            outcome=facets.outcome,
            attributes=_given(facets.attributes),
            retention=self.retention,
            durable=facets.durable,
        )

    def __repr__(self) -> str:
        """Name and class."""
        return f"<event {self.name}, retention {self.retention}>"


def domain_event(name: str, retention: Retention) -> Callable[[Callable[P, Facets]], DomainEvent[P]]:
    """Turn a function that describes one call into the event of that name."""

    def declare(facets: Callable[P, Facets]) -> DomainEvent[P]:
        return DomainEvent(name, retention, facets)

    return declare


def _given(attributes: Mapping[str, Json | Sequence[str]]) -> dict[str, Json]:
    return {name: value for name, value in attributes.items() if value is not None}
