"""The trusted-proxy walk: no header is believed that somebody untrusted may have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxl_audit.client_address import Header, TrustedProxies, truncated
from pxl_audit.errors import SettingsError

INSIDE = ("10.0.0.1", 4711)
OUTSIDE = ("198.51.100.9", 4711)


def origin(
    header: Header, *values: str, client: tuple[str, int] | None = INSIDE, networks: tuple[str, ...] = ("10.0.0.0/8",)
) -> str | None:
    proxies = TrustedProxies(networks, header, max_hops=4)
    return proxies.origin(client, [(header.encode(), value.encode("latin-1")) for value in values]).address


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, 203.0.113.7, 10.2.2.2"], "203.0.113.7"),
        (["1.1.1.1", "203.0.113.7", "10.2.2.2"], "203.0.113.7"),
        (["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        (["203.0.113.7:5555"], "203.0.113.7"),
        (["[2001:db8::1]:5555"], "2001:db8::1"),
        (["2001:DB8::1"], "2001:db8::1"),
        (["fe80::1%eth0"], "fe80::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, nonsense, 10.2.2.2"], "10.2.2.2"),
        (["unknown"], "unknown"),
        (["1.1.1.1, _hidden"], "_hidden"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["9.9.9.9, 10.5.5.5, 10.4.4.4, 10.3.3.3, 10.2.2.2"], "10.5.5.5"),
    ],
)
def test_x_forwarded_for(values: list[str], address: str) -> None:
    """Right to left, to the first address that is no trusted proxy; at most four hops."""
    assert origin("x-forwarded-for", *values) == address


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["for=203.0.113.7"], "203.0.113.7"),
        (['for="203.0.113.7:80";proto=https;by=10.0.0.1'], "203.0.113.7"),
        (['For="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),
        (["for=1.1.1.1, for=203.0.113.7, for=10.2.2.2"], "203.0.113.7"),
        (["for=1.1.1.1;by=x", "proto=http;for=203.0.113.7"], "203.0.113.7"),
        (['for="_gazonk"'], "_gazonk"),
        (["for=1.1.1.1, proto=http"], "10.0.0.1"),
        (["for=1.1.1.1, for="], "10.0.0.1"),
        (['for="a,b", for=203.0.113.7'], "203.0.113.7"),
        (['for="203.0.113.7'], "10.0.0.1"),
    ],
)
def test_forwarded(values: list[str], address: str) -> None:
    """RFC 7239, quoted strings included; what cannot be read ends the walk."""
    assert origin("forwarded", *values) == address


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_untrusted_peer_is_the_client(header: Header) -> None:
    """Headers of a client that is no proxy of ours say nothing."""
    assert origin(header, "for=1.2.3.4" if header == "forwarded" else "1.2.3.4", client=OUTSIDE) == "198.51.100.9"
    assert origin(header, "1.2.3.4", networks=()) == "10.0.0.1"


def test_the_other_header_is_not_believed() -> None:
    """A proxy that writes X-Forwarded-For passes a client's own Forwarded on."""
    proxies = TrustedProxies(["10.0.0.0/8"], "x-forwarded-for")
    assert proxies.origin(INSIDE, [(b"forwarded", b"for=6.6.6.6"), (b"x-forwarded-for", b"203.0.113.7")]).address == (
        "203.0.113.7"
    )


def test_unix_socket_and_server_side_handling() -> None:
    """A peer on a Unix socket has no address; port 0 is a server that read the headers itself."""
    proxies = TrustedProxies(["unix", "10.0.0.0/8"])
    headers = [(b"x-forwarded-for", b"203.0.113.7")]
    assert proxies.origin(None, headers).address == "203.0.113.7"
    replaced = proxies.origin(("203.0.113.8", 0), headers)
    assert (replaced.address, replaced.source) == ("203.0.113.8", "server")


@given(st.binary(max_size=80), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_hostile_headers_never_raise(value: bytes, header: Header) -> None:
    """Any bytes give an address or an obfuscated identifier, never an error, never raw header text."""
    found = TrustedProxies(["10.0.0.0/8"], header).origin(INSIDE, [(header.encode(), value)]).address
    assert found is not None
    assert "," not in found
    assert len(found) <= 80


@pytest.mark.parametrize("networks", [["10.0.0.0/33"], ["example.org"], [""], ["10.0.0.1/8"]])
def test_bad_networks(networks: list[str]) -> None:
    with pytest.raises(SettingsError, match="CIDR"):
        TrustedProxies(networks)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("_hidden", "_hidden"),
    ],
)
def test_truncation(address: str, network: str) -> None:
    assert truncated(address, 24, 48) == network
