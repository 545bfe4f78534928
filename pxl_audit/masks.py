"""Less of what is recorded: masks over secrets in paths, queries and attributes, and a limit in bytes on every text.

A mask errs towards hiding. A pattern fits every path that begins as it says, doubled slashes do not get around it, and
a `{mask}` at its end hides all that follows: a secret with an encoded slash is two segments once the server has
decoded it. The route template in the skeleton still says which route it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pxl_audit.errors import SettingsError

if TYPE_CHECKING:
    from pxl_audit.event import Json

MASK = "***"
REGEX = "re:"
SMALLEST_LIMIT = 40
"""Bytes; the mark of a cut must fit."""
MAX_DEPTH = 16
_DEEPER = "…[nested deeper]"

LIMITS: Mapping[str, int] = {
    "audit.target.id": 512,
    "client.address": 64,
    "http.request.method_original": 64,
    "network.peer.address": 64,
    "pxl.attempted_user.id": 512,
    "pxl.auth.method": 64,
    "pxl.client.source": 64,
    "pxl.on_behalf_of.id": 512,
    "pxl.request.id": 128,
    "pxl.tenant.id": 512,
    "session.id": 128,
    "span_id": 40,
    "trace_id": 40,
    "url.path": 2048,
    "url.query": 2048,
    "user.id": 512,
    "user.roles": 64,
    "user_agent.original": 512,
}
"""Most bytes of UTF-8 a member of a part has; of `user.roles`, each role."""
ATTRIBUTE_LIMIT = 4096
"""Most bytes of UTF-8 one text among a service's own attributes has."""

# Controls (C0, DEL, C1), line and paragraph separators, marks that turn the direction of text, unpaired surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_SECRET_PARTS = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "authorization", "apikey", "accesskey",
    "privatekey", "credential", "cookie", "sessionid", "signature", "cvv",
)  # fmt: skip
_SECRET_NAMES = frozenset({"pwd", "pass", "pin", "otp", "totp", "sig", "auth", "jwt", "sid", "cvc"})
_SECRET_QUERY_NAMES = frozenset({"code", "key", "state", "nonce"})


def limited(text: str, most: int) -> str:
    r"""`text`, with what cannot be shown escaped, in at most `most` bytes of UTF-8; a cut leaves a visible mark.

    Escapes are those of Python (`\x1b`, `\u202e`). A backslash stays as it is, so that a user id such as `CORP\ann`
    is found again; so an escape cannot be told from the same characters typed by somebody. Applied twice it changes
    nothing more.
    """
    if text.isascii():
        if len(text) <= most and text.isprintable():
            return text
    elif len(text) * 4 <= most and text.isprintable():
        return text
    shown = _UNSAFE.sub(_escaped, text)
    encoded = shown.encode()
    if len(encoded) <= most:
        return shown
    if most < SMALLEST_LIMIT:
        raise ValueError(f"a limit below {SMALLEST_LIMIT} bytes has no room for the mark of a cut")
    # The mark grows with the number it holds; the number of the whole is never shorter.
    keep = most - len(_mark(len(encoded)).encode())
    head = encoded[:keep].decode("utf-8", "ignore")
    return head + _mark(len(encoded) - len(head.encode()))


def limited_bytes(value: bytes, most: int) -> str:
    r"""As `limited`, for bytes that should be UTF-8, such as the value of a header; other bytes become `\xff`."""
    return limited(value.decode("utf-8", "backslashreplace"), most)


def _mark(more: int) -> str:
    return f"…[{more} bytes more]"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that was no UTF-8, as PEP 383 carries it
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def path_mask(patterns: Sequence[str]) -> Callable[[str], str]:
    """A function that masks paths by all of the patterns.

    `/v1/users/*/secrets/{mask}`: `*` is any one segment, `{mask}` a segment that is hidden, and at the end of the
    pattern that segment and all after it. `/**/reset/{mask}`: anywhere in the path. `re:[0-9]{16}`: every segment
    that the regular expression fits as a whole.

    Raises:
        SettingsError: a pattern is none of these.
    """
    masks = [_segment_mask(pattern) if pattern.startswith(REGEX) else _pattern_mask(pattern) for pattern in patterns]

    def mask(path: str) -> str:
        for each in masks:
            path = each(path)
        return path

    return mask


def _segment_mask(pattern: str) -> Callable[[str], str]:
    try:
        fits = re.compile(pattern.removeprefix(REGEX), re.DOTALL).fullmatch
    except re.error as error:
        raise SettingsError(f"{pattern!r} is not a regular expression: {error}") from None
    if fits(""):
        raise SettingsError(f"{pattern!r} fits the empty text; it would hide nothing in particular")
    return lambda path: "/".join(MASK if step and fits(step) else step for step in path.split("/"))


def _pattern_mask(pattern: str) -> Callable[[str], str]:
    steps = pattern.split("/")[1:]
    anywhere = steps[:1] == ["**"]
    steps = steps[1:] if anywhere else steps
    if not pattern.startswith("/") or "{mask}" not in steps or not all(map(_known_step, steps)):
        raise SettingsError(
            f"{pattern!r}: expected segments that are text, * or {{mask}}, such as /v1/users/*/secrets/{{mask}}; "
            "/**/ only at its beginning; re:... for a regular expression"
        )
    end = "(.+)" if steps[-1] == "{mask}" else _step_regex(steps[-1]) + r"(?=/|\Z)"
    compiled = re.compile("/+" + "/+".join([*map(_step_regex, steps[:-1]), end]), re.DOTALL)
    if anywhere:
        return lambda path: compiled.sub(_hidden, path)

    def mask(path: str) -> str:
        match = compiled.match(path)
        return path if match is None else _hidden(match) + path[match.end() :]

    return mask


def _known_step(step: str) -> bool:
    return step in ("*", "{mask}") or (step != "" and not set(step) & set("*{}"))


def _step_regex(step: str) -> str:
    return {"{mask}": "([^/]+)", "*": "[^/]+"}.get(step) or re.escape(step)


def _hidden(match: re.Match[str]) -> str:
    text, end = "", match.start()
    for group in range(1, match.re.groups + 1):
        start, after = match.span(group)
        text += match.string[end:start] + MASK
        end = after
    return text + match.string[end : match.end()]


def masked_query(query: bytes, names: Iterable[str] = ()) -> str:
    """A query string as it may be kept: values of secret parameters are masked, and tokens without a name.

    `names`: further parameters to mask.
    """
    also = frozenset(map(_normal, names)) | _SECRET_QUERY_NAMES
    parts = query.decode("utf-8", "backslashreplace").split("&")
    return "&".join(_masked_parameter(part, also) for part in parts)


def _masked_parameter(part: str, also: frozenset[str]) -> str:
    from urllib.parse import unquote_plus  # noqa: PLC0415  # only services that keep queries pay for it

    name, equals, value = part.partition("=")
    if equals:
        return f"{name}={MASK}" if value and is_secret_name(unquote_plus(name), also) else part
    from pxl_audit.personal import looks_personal  # noqa: PLC0415  # few queries have a parameter without a name

    return MASK if looks_personal(unquote_plus(name)) in ("jwt", "token") else part


def clean_attributes(attributes: Mapping[str, Json], names: Iterable[str] = ()) -> dict[str, Json]:
    """A copy of a service's attributes with secrets masked by their names, at any depth, and texts within their limit.

    `names`: further names to mask.
    """
    also = frozenset(map(_normal, names))
    return {key: _clean(key, value, also, MAX_DEPTH) for key, value in attributes.items()}


def _clean(name: str, value: Json, also: frozenset[str], depth: int) -> Json:
    if value is None or value == "":
        return value
    if is_secret_name(name, also):
        return MASK
    if isinstance(value, str):
        return limited(value, ATTRIBUTE_LIMIT)
    if isinstance(value, Mapping):
        return {key: _clean(key, member, also, depth - 1) for key, member in value.items()} if depth else _DEEPER
    if isinstance(value, Sequence):
        return [_clean("", member, also, depth - 1) for member in value] if depth else _DEEPER
    return value


def is_secret_name(name: str, also: frozenset[str] = frozenset()) -> bool:
    """Whether a member of this name usually holds a secret: `password`, `X-Api-Key`, `refresh_token`, `sig`, ..."""
    normal = _normal(name)
    return normal in _SECRET_NAMES or normal in also or any(part in normal for part in _SECRET_PARTS)


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
