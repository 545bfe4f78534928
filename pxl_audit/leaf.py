"""The leaf: what the log hashes of a record (docs/format.md, section 3).

A leaf holds the skeleton, which says nothing about a person, and two salted commitments.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import msgspec

FORMAT_VERSION = 1
COMMIT_PREFIX = b"pxl-audit/commit/v1\0"
SALT_BYTES = 32

Fact = int | str


class Leaf(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The skeleton, and the commitments to the two parts.

    Members stand in RFC 8785 order, so encoding gives the canonical form. One letter a member, because every record of
    every service is kept for 13 months: names are in docs/format.md.
    """

    a: str
    b: str
    c: int | None = None
    d: int | None = None
    e: str = "http.request"
    f: dict[str, Fact] | None = None
    g: str | None = None
    h: int | None = None
    i: int = 0
    k: str = "anonymous"
    m: str | None = None
    n: str = "complete"
    o: str = "success"
    p: str = "access"
    r: str | None = None
    s: str = ""
    t: int = 0
    u: int = 0
    v: int = FORMAT_VERSION
    w: int | None = None


decode_leaf = msgspec.json.Decoder(Leaf).decode
_encoder = msgspec.json.Encoder(order="deterministic")
encode_leaf = _encoder.encode


def commit(part: bytes, salt: bytes, canonical: bytes) -> bytes:
    """Commitment (32 bytes) to one personal part; `part` is its name, `salt` 32 random bytes."""
    return sha256(COMMIT_PREFIX + part + b"\0" + salt + canonical).digest()


def commitment_text(digest: bytes) -> str:
    """A 32-byte commitment as it stands in a leaf: base64 without padding, 43 characters."""
    return b64encode(digest)[:43].decode("ascii")
