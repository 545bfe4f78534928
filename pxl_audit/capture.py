"""What a service chose for its capture: how actor, route and address are found. Immutable, shared by all requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pxl_audit.actor import ActorResolver
from pxl_audit.asgi_types import Scope
from pxl_audit.errors import UsageError

if TYPE_CHECKING:
    from pxl_audit.client_address import TrustedProxies

RouteResolver = Callable[[Scope], str | None]
MAX_ADDRESS = 64


@dataclass(frozen=True)
class Capture:
    """The choices of one middleware."""

    trusted_proxies: TrustedProxies | None = None
    actor_resolver: ActorResolver | None = None
    route_resolver: RouteResolver | None = None
    address_bits: tuple[int, int] | None = None
    """Keep only so many bits of IPv4 and IPv6 addresses, such as `(24, 48)`; None keeps them whole."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.address_bits is not None:
            v4, v6 = self.address_bits
            if not (0 <= v4 <= 32 and 0 <= v6 <= 128):
                raise UsageError(f"address_bits={self.address_bits!r}: expected (0 to 32, 0 to 128), such as (24, 48)")

    def address_of(
        self, peer: Sequence[object] | None, headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[str | None, str]:
        """Address of the client, and where it was read: `peer`, `server`, or the name of a header."""
        if self.trusted_proxies is not None:
            origin = self.trusted_proxies.origin(peer, headers)
            return (self.shown(origin.address) if origin.address is not None else None), origin.source
        if not peer:
            return None, "peer"
        # No TCP peer has port 0: a server that reads proxy headers itself has put its own reading here.
        source = "server" if len(peer) > 1 and peer[1] in (0, "0") else "peer"
        return self.shown(str(peer[0])), source

    def shown(self, address: str) -> str:
        """An address as it is recorded."""
        if self.address_bits is not None:
            from pxl_audit.client_address import truncated  # noqa: PLC0415  # only services that truncate pay for it

            address = truncated(address, *self.address_bits)
        return (
            address
            if len(address) <= MAX_ADDRESS and address.isascii()
            else address[:MAX_ADDRESS].encode("ascii", "backslashreplace").decode()
        )
