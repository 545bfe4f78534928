"""Where a request came from: the address of the client behind proxies that we were told to trust.

The walk goes from the TCP peer leftwards through what the proxies wrote, and stops at the first address that is not a
trusted proxy: everything further left was written by somebody we do not trust. Without trusted proxies the peer is
the client, whatever headers say. Sources: RFC 7239 (`Forwarded`), and the customary `X-Forwarded-For`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from pxl_audit.errors import SettingsError

Header = Literal["x-forwarded-for", "forwarded"]
Source = Literal["peer", "x-forwarded-for", "forwarded", "server"]
UNIX = "unix"
MAX_HEADER_BYTES = 8192

# RFC 7239 section 4: forwarded-pair = token "=" ( token / quoted-string ), pairs by ";", elements by ","
_PAIR = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]+))\s*""")
_OBFUSCATED = re.compile(r"_[A-Za-z0-9._-]+|unknown", re.ASCII)


@dataclass(frozen=True)
class Origin:
    """An address and how we came by it."""

    address: str | None
    source: Source


@dataclass(frozen=True)
class TrustedProxies:
    """Which proxies stand before the service, and which of the two headers they write.

    Only one header is believed: a proxy that writes the one passes on what a client wrote into the other.

    Raises:
        SettingsError: a network is not in CIDR notation.
    """

    networks: Sequence[str] = ()
    """Such as `10.0.0.0/8`, `fd00::/8`, one address, or `unix` for peers on a Unix socket."""
    header: Header = "x-forwarded-for"
    max_hops: int = 8
    """At most this many steps leftwards; the address reached then is taken."""

    def __post_init__(self) -> None:
        """Parse the networks once."""
        if self.header not in ("x-forwarded-for", "forwarded"):
            raise SettingsError(f"trusted_proxies.header: expected x-forwarded-for or forwarded, found {self.header!r}")
        if self.max_hops < 1:
            raise SettingsError(f"trusted_proxies.max_hops: expected a positive integer, found {self.max_hops!r}")
        parsed: list[IPv4Network | IPv6Network] = []
        for text in self.networks:
            if text == UNIX:
                continue
            try:
                parsed.append(ip_network(text))
            except ValueError:
                raise SettingsError(
                    f"trusted_proxies.networks: {text!r} is not a network in CIDR notation, such as 10.0.0.0/8"
                ) from None
        object.__setattr__(self, "_parsed", tuple(parsed))

    def origin(self, client: Sequence[object] | None, headers: Iterable[tuple[bytes, bytes]]) -> Origin:
        """The client's address, given the ASGI scope's `client` and headers."""
        peer = str(client[0]) if client else None
        if client and len(client) > 1 and client[1] in (0, "0"):
            # No TCP peer has port 0: a server that reads proxy headers itself has put its own reading here.
            return Origin(peer, "server")
        if not self.networks or not self._trusts(peer):
            return Origin(peer, "peer")
        address, moved = peer, False
        for hop, node in enumerate(reversed(_nodes(self.header, headers))):
            if hop == self.max_hops or node is None:
                break
            address, moved = node, True
            if not self._trusts(node):
                break
        return Origin(address, self.header if moved else "peer")

    def _trusts(self, address: str | None) -> bool:
        if address is None or address == "":
            return UNIX in self.networks
        parsed = parse_address(address)
        networks: tuple[IPv4Network | IPv6Network, ...] = self.__dict__["_parsed"]
        return parsed is not None and any(parsed.version == n.version and parsed in n for n in networks)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address without zone; an IPv4 address mapped into IPv6 is the IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def truncated(address: str, v4_bits: int, v6_bits: int) -> str:
    """The network an address is in, as `192.0.2.0/24`; text that is no address stays as it is."""
    parsed = parse_address(address)
    if parsed is None:
        return address
    bits = v4_bits if parsed.version == 4 else v6_bits
    if bits >= parsed.max_prefixlen:
        return str(parsed)
    return str(ip_network(f"{parsed}/{bits}", strict=False))


def _nodes(header: Header, headers: Iterable[tuple[bytes, bytes]]) -> list[str | None]:
    """What proxies wrote, left to right; None where it cannot be read, and the walk must stop."""
    wanted = header.encode()
    lines = [value.decode("latin-1") for name, value in headers if name == wanted]
    whole = ",".join(lines)
    if not whole or len(whole) > MAX_HEADER_BYTES:
        return []
    if header == "forwarded":
        return [_node(node) if node else None for node in _forwarded_for(whole)]
    return [_node(item.strip()) for item in whole.split(",")]


def _forwarded_for(whole: str) -> list[str | None]:
    """The `for` of each element; the list ends (is cut at the left) where the header is malformed."""
    nodes: list[str | None] = []
    for element in _split_outside_quotes(whole):
        found: str | None = None
        position = 0
        while position < len(element):
            match = _PAIR.match(element, position)
            if match is None or (match.end() < len(element) and element[match.end()] != ";"):
                found = None
                break
            if match[1].lower() == "for":
                found = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
            position = match.end() + 1
        nodes.append(found)
    return nodes


def _split_outside_quotes(text: str) -> list[str]:
    parts, start, quoted, escaped = [], 0, False, False
    for i, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\" and quoted:
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _node(text: str) -> str | None:
    """An address without port and brackets, an obfuscated identifier, or None."""
    if _OBFUSCATED.fullmatch(text.partition(":")[0]):
        return text.partition(":")[0]
    bare = text
    if text.startswith("["):
        bare, closed, port = text[1:].partition("]")
        if not closed or (port and not re.fullmatch(r":[0-9]{1,5}", port, re.ASCII)):
            return None
    elif text.count(":") == 1:
        bare = text.partition(":")[0]
    parsed = parse_address(bare)
    return str(parsed) if parsed is not None else None
