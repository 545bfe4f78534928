"""Masks, limits, and the detector: what is hidden stays hidden, what is harmless stays readable."""

from __future__ import annotations

import base64
import random
import re
import secrets
import string
import uuid
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxl_audit.errors import SettingsError
from pxl_audit.event import Json, canonical
from pxl_audit.masks import (
    ATTRIBUTE_LIMIT,
    LIMITS,
    MASK,
    MAX_DEPTH,
    SMALLEST_LIMIT,
    clean_attributes,
    is_secret_name,
    limited,
    limited_bytes,
    masked_query,
    path_mask,
)
from pxl_audit.personal import MOST, looks_personal, raw_id_in
from pxl_audit.policy_rule import ACTOR_MEMBERS, TARGET_MEMBERS, Rule

# --- paths


@pytest.mark.parametrize(
    ("pattern", "path", "masked"),
    [
        ("/v1/users/*/secrets/{mask}", "/v1/users/7/secrets/s3cret", "/v1/users/7/secrets/***"),
        ("/v1/users/*/secrets/{mask}", "/v1/users/7/secrets/a/b", "/v1/users/7/secrets/***"),
        ("/v1/users/*/secrets/{mask}", "//v1/users//7/secrets//s3cret", "//v1/users//7/secrets//***"),
        ("/v1/users/*/secrets/{mask}", "/v1/users/7/secrets/", "/v1/users/7/secrets/"),
        ("/v1/users/*/secrets/{mask}", "/v1/users/7/secrets", "/v1/users/7/secrets"),
        ("/v1/users/*/secrets/{mask}", "/v2/users/7/secrets/x", "/v2/users/7/secrets/x"),
        ("/v1/users/*/secrets/{mask}", "/v1/users/7/8/secrets/x", "/v1/users/7/8/secrets/x"),
        ("/v1/users/*/secrets/{mask}", "/x/v1/users/7/secrets/x", "/x/v1/users/7/secrets/x"),
        ("/reset/{mask}/confirm", "/reset/abc/confirm", "/reset/***/confirm"),
        ("/reset/{mask}/confirm", "/reset/abc/confirm/more", "/reset/***/confirm/more"),
        ("/reset/{mask}/confirm", "/reset/abc/confirmed", "/reset/abc/confirmed"),
        ("/{mask}/to/{mask}", "/a/to/b", "/***/to/***"),
        ("/**/token/{mask}", "/v1/token/abc", "/v1/token/***"),
        ("/**/token/{mask}", "/token/abc/def", "/token/***"),
        ("/**/token/{mask}", "/mytoken/abc", "/mytoken/abc"),
        ("/**/u/{mask}/x", "/u/1/x/u/2/x", "/u/***/x/u/***/x"),
        ("/a.b/{mask}", "/axb/c", "/axb/c"),
        ("/a$/{mask}", "/a$/c", "/a$/***"),
        ("/a/{mask}", "/a/line\nfeed", "/a/***"),
        ("re:[0-9]{4}", "/a/1234/12345/1234", "/a/***/12345/***"),
    ],
)
def test_path_masks(pattern: str, path: str, masked: str) -> None:
    assert path_mask([pattern])(path) == masked


SEGMENT = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(SEGMENT, max_size=3), SEGMENT, st.lists(SEGMENT, max_size=3), st.integers(1, 3))
def test_no_part_of_a_secret_is_left(before: list[str], secret: str, after: list[str], slashes: int) -> None:
    """Wherever the pattern stands, however many slashes: exactly the head is kept."""
    head = "/".join(["", *before, "secrets"])
    whole = head + "/" * slashes + "/".join([secret, *after])
    first = head.find("/secrets/")
    kept = (head[: first + len("/secrets")] + "/") if first >= 0 else head + "/" * slashes
    masked = path_mask(["/**/secrets/{mask}"])(whole)
    assert masked == kept + MASK
    assert path_mask(["/**/secrets/{mask}"])(masked) == masked


@given(st.text(max_size=40))
def test_a_mask_that_does_not_fit_changes_nothing(path: str) -> None:
    assert path_mask(["/no-such-segment/{mask}", "re:no-such-segment"])(path) == path


@pytest.mark.parametrize(
    "pattern",
    ["", "/a", "a/{mask}", "/a/**/{mask}", "/a//{mask}", "/a*/{mask}", "/{id}/{mask}", "/{masks}", "re:[", "re:.*"],
)
def test_patterns_that_mask_nothing_in_particular(pattern: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(repr(pattern))):
        path_mask([pattern])


# --- queries and attributes


@pytest.mark.parametrize(
    ("query", "masked"),
    [
        (b"page=2&token=abc", "page=2&token=***"),
        (b"access_token=a&X-Amz-Signature=b&code=c", "access_token=***&X-Amz-Signature=***&code=***"),
        (b"%74oken=abc", "%74oken=***"),
        (b"token=", "token="),
        (b"q=a=b&iban=x", "q=a=b&iban=***"),
        (b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "***"),
        (b"flag", "flag"),
        (b"a=\xff", r"a=\xff"),
    ],
)
def test_queries(query: bytes, masked: str) -> None:
    assert masked_query(query, ["iban"]) == masked


def test_a_rule_keeps_the_query_within_its_limit() -> None:
    rule = Rule("queries", keep_query=True, mask_query=("iban",))
    assert rule.query_of(b"a=1&iban=2&password=3") == "a=1&iban=***&password=***"
    assert rule.query_of(b"") is None
    kept = rule.query_of(b"a=" + b"x" * 5000)
    assert kept is not None
    assert (len(kept.encode()), kept[-18:]) == (LIMITS["url.query"], "…[2974 bytes more]")


def test_attributes() -> None:
    given_: dict[str, Json] = {
        "card": {"cvv": 123, "brand": "visa", "refreshToken": ["a"]},
        "Api-Key": "x",
        "note": "a\x1b[31m",
        "list": [{"pwd": "x"}, 1, True, None],
        "pinned": True,
        "my field": "x",
        "password": None,
        "secret": "",
    }
    before = canonical(given_, "given")
    assert clean_attributes(given_, ["My_Field"]) == {
        "card": {"cvv": MASK, "brand": "visa", "refreshToken": MASK},
        "Api-Key": MASK,
        "note": "a\\x1b[31m",
        "list": [{"pwd": MASK}, 1, True, None],
        "pinned": True,
        "my field": MASK,
        "password": None,
        "secret": "",
    }
    assert canonical(given_, "given") == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcpwd", max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcpwd", max_size=4), JSON, max_size=4))
def test_clean_attributes_can_be_recorded_and_are_clean(attributes: dict[str, Json]) -> None:
    clean = clean_attributes(attributes)
    assert clean_attributes(clean) == clean
    assert clean.keys() == attributes.keys()
    canonical(clean, "attributes")


@pytest.mark.parametrize("shape", ["[", "{", "[{"])
def test_attributes_have_a_depth(shape: str) -> None:
    deep: Json = "x"
    for _ in range(3 * MAX_DEPTH):
        deep = {"a": deep} if "{" in shape else deep
        deep = [deep] if "[" in shape else deep
    text = canonical(clean_attributes({"top": deep}), "attributes")
    assert b"nested deeper" in text
    assert text.count(b"[") + text.count(b"{") <= MAX_DEPTH + 2


@pytest.mark.parametrize(
    "name", ["Authorization", "X-API-Key", "refresh_token", "userPassword", "sig", "PIN", "session id"]
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["shipping", "design", "author", "compass", "user", "id", "status", "keyboard", "passenger"]
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)


# --- limits

ANY_TEXT = st.text(st.characters(), max_size=400)


@given(ANY_TEXT, st.integers(SMALLEST_LIMIT, 600))
def test_limits_hold_in_bytes(text: str, most: int) -> None:
    short = limited(text, most)
    assert len(short.encode()) <= most
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\u2028\ud800-\udfff]", short)
    assert limited(short, most) == short


@given(st.text(min_size=1, max_size=200), st.integers(SMALLEST_LIMIT, 100))
def test_a_cut_says_how_much_is_missing(text: str, most: int) -> None:
    whole = limited(text, 100_000).encode()
    short = limited(text, most)
    match = re.fullmatch(r"(.*)…\[(\d+) bytes more\]", short, re.DOTALL)
    if len(whole) <= most:
        assert short.encode() == whole
    else:
        assert match is not None
        assert whole.startswith(match[1].encode())
        assert int(match[2]) == len(whole) - len(match[1].encode())


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_what_can_be_shown_stays(text: str) -> None:
    assert limited(text, 1000) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\x00", r"a\tb\x00".replace(r"\t", r"\x09")),
        ("CORP\\ann", "CORP\\ann"),
        ("\x85\u2028\u202e\u2066", r"\x85\u2028\u202e\u2066"),
        ("\udcff", r"\xff"),
        ("\ud83d", r"\ud83d"),
        ("Žofie 👩‍🔬", "Žofie 👩‍🔬"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert limited(text, 512) == shown


@given(st.binary(max_size=100))
def test_bytes_are_kept_whatever_they_are(value: bytes) -> None:
    shown = limited_bytes(value, 1000)
    assert shown.encode().decode() == shown
    try:
        value.decode()
    except UnicodeDecodeError:
        assert "\\x" in shown


def test_every_text_has_a_limit() -> None:
    texts = {*ACTOR_MEMBERS, *TARGET_MEMBERS} - {"pxl.time_us"}
    assert set(LIMITS) == texts
    assert min(*LIMITS.values(), ATTRIBUTE_LIMIT) >= SMALLEST_LIMIT
    with pytest.raises(ValueError, match="no room"):
        limited("x" * 100, SMALLEST_LIMIT - 1)


# --- the detector


@pytest.mark.parametrize(
    "text",
    [
        "/v1/users/{user_id}", "/v1/users/{user_id}/secrets/{secret_id:path}", "/v1/{id:[0-9a-f]{32}}/x",
        "/{id:[0123456789abcdef]+}", "/users/@me",
        "/{name}@{version}", "react@1.2.3", "1.2.3", "v1.2.3.4", "1.2.3.4.5", "1.2.3+20261123", "2.0.0-rc.1",
        "2026-11-23", "2026-11-23T20:30:00+00:00", "2026-11-23T20:30:00Z", "20261123", "20261123203000", "12:30:45",
        "2026-11-23 2026-11-30", "std::dec", "abc::def", "10.0.0", "ConnectionResetError", "upstream_timeout",
        "getUserPreferencesHandlerForAllTenantsV2",
        "DateNotInThePastError", "x86_64-unknown-linux-gnu", "internationalisation_of_everything",
        "application/vnd.oai.openapi+json;version=3.0", "/.well-known/openid-configuration", "/v1/proofs/{id}:verify",
        "GET", "", "sha256", "ES384", "p99 > 500 ms", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "12/24", "0.1.0.dev3",
        "websocket.close 1006", "eu-central-1", "DE", "/api/v2024-10-01/items", "/static/app.min.js", "403",
    ],
)  # fmt: skip
def test_harmless(text: str) -> None:
    assert looks_personal(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ann@example.org", "email"), ("/v1/users/ann.o@mail.example.org/x", "email"),
        ("/u/ann%40example.org", "email"), ("žofie@příklad.cz", "email"), ("<ann+tag@example.org>", "email"),
        ("192.0.2.7", "ipv4"), ("/ip/192.0.2.7/x", "ipv4"), ("192.0.2.7:8080", "ipv4"), ("from 192.0.2.7.", "ipv4"),
        ("::1", "ipv6"), ("fe80::1%eth0", "ipv6"), ("[2001:db8::1]:443", "ipv6"), ("2001:DB8:0:0:0:0:0:1", "ipv6"),
        ("::ffff:192.0.2.7", "ipv4"), ("aa:bb:cc:dd:ee:0f", "mac"), ("AA-BB-CC-DD-EE-FF", "mac"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x", "jwt"), ("ghp_abcdefgh1234", "token"), ("Bearer abcdefghi", "token"),
        ("AKIAIOSFODNN7EXAMPLE", "token"), ("9f86d081884c7d659a2feaa0c55ad015", "token"),
        ("Zk3vQ9xPq7LmN2tRb8wY", "token"),
        ("550e8400-e29b-41d4-a716-446655440000", "uuid"), ("/v1/users/550E8400-E29B-41D4-A716-446655440000", "uuid"),
        ("+49 30 1234567", "phone"), ("tel:+14155552671", "phone"), ("(030) 123 4567", "phone"),
        ("555-123-4567", "phone"),
        ("DE89 3704 0044 0532 0130 00", "iban"), ("gb29nwbk60161331926819", "iban"),
        ("4111111111111111", "number"), ("user 123456789", "number"),
    ],
)  # fmt: skip
def test_personal(text: str, kind: str) -> None:
    assert looks_personal(text) == kind


@given(st.ip_addresses(v=4), st.sampled_from(["{}", "/x/{}/y", "a {}:80", "({})"]))
def test_any_ipv4(address: IPv4Address, form: str) -> None:
    assert looks_personal(form.format(address)) == "ipv4"


@given(st.ip_addresses(v=6), st.sampled_from(["{}", "/x/{}/y", "[{}]:80"]))
def test_any_ipv6(address: IPv6Address, form: str) -> None:
    found = looks_personal(form.format(address))
    assert found is not None or not re.search(r"\d", str(address))


@given(st.emails(domains=st.sampled_from(["example.org", "mail.example.co.uk", "xn--bcher-kva.example"])))
def test_any_email(address: str) -> None:
    # A local part that ends in a slash or a brace would be a path or a template.
    assert looks_personal(address) == "email" or address.partition("@")[0][-1] in "/{}"


@given(st.uuids(), st.booleans())
def test_any_uuid(value: uuid.UUID, dashes: bool) -> None:
    text = str(value) if dashes else value.hex
    digits = sum(map(str.isdigit, text))
    assert looks_personal(f"/v1/{text}") is not None or digits < 2


def test_nearly_all_random_tokens() -> None:
    """Chance may make a token look like words; one of twenty at most may go through."""
    source = random.Random(20_261_123)
    makers: list[Callable[[], str]] = [
        lambda: base64.urlsafe_b64encode(source.randbytes(32)).decode().rstrip("="),
        lambda: source.randbytes(16).hex(),
        lambda: "".join(source.choices(string.ascii_letters + string.digits, k=24)),
        lambda: "".join(source.choices(string.ascii_lowercase + string.digits, k=26)),
    ]
    for make in makers:
        missed = [text for text in (make() for _ in range(500)) if looks_personal(text) is None]
        assert len(missed) <= 25, missed[:5]


WORDS = [
    "get",
    "user",
    "Profile",
    "list",
    "all",
    "secrets",
    "Version",
    "handler",
    "preferences",
    "by",
    "Name",
    "v1",
    "of",
]


@given(st.lists(st.sampled_from(WORDS), max_size=8, unique=True), st.sampled_from(["", "_", "-", "/", "."]))
def test_words_are_no_tokens(words: list[str], between: str) -> None:
    assert looks_personal(between.join(words)) is None


@given(st.from_regex(r"(/([a-z]{1,12}|v[0-9]|\{[a-z_]{1,12}\})){1,6}", fullmatch=True))
def test_templates_are_harmless(template: str) -> None:
    assert raw_id_in(template) is None


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("/v1/users/48121", "id"),
        ("/v1/users/48121/x", "id"),
        ("/v1/users/ann@example.org", "email"),
        ("/v1/2026/{month}", None),
        ("/errors/404", None),
        ("/v1/users/{user_id}", None),
    ],
)
def test_routes(route: str, kind: str | None) -> None:
    assert raw_id_in(route) == kind


@pytest.mark.parametrize(
    "piece", ["@", "a@", "a@b.", "1 ", "1-", "+1", "{", "{}", "{a{", "A", ":1", "DE12 ", "1.1.", "aA1"]
)
def test_the_detector_takes_no_time(piece: str) -> None:
    """Long and full of beginnings: anything worse than linear in 4096 characters would run into the test's limit."""
    looks_personal(piece * 200_000)


def test_the_detector_looks_at_the_beginning() -> None:
    assert looks_personal(" " * (MOST - 20) + "ann@example.org") == "email"
    assert looks_personal(" " * MOST + "ann@example.org") is None


def test_the_answer_is_not_the_value() -> None:
    secret = secrets.token_hex(16)
    assert looks_personal(secret) in (None, "token", "number")
