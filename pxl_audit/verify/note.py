"""Strict reading of signed notes and checkpoints (C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0).

Python is lenient where a verifier must not be: `int(" 1_0 ")` is 10, `b64decode` skips foreign characters,
`splitlines` splits at more than LF. Hence the regular expressions and the re-encoding here.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_NOTE_BYTES = 1_000_000
ED25519 = 1
_KEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]+)")
_SIGNATURE = re.compile(r"\u2014 (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/=]+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


class NoteError(ValueError):
    """The note, key or checkpoint is not what it must be; the text says how."""


@dataclass(frozen=True)
class LogKey:
    """The public key of a log, as its vkey says."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey


@dataclass(frozen=True)
class Head:
    """A checkpoint whose signature was checked: `root` (32 bytes) is the hash of the first `size` leaves."""

    origin: str
    size: int
    root: bytes
    note: bytes


def strict_base64(text: str) -> bytes:
    """RFC 4648 section 4, padded, canonical; NoteError for anything that does not encode back to the same text."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise NoteError("not base64") from None
    if b64encode(data).decode("ascii") != text:
        raise NoteError("base64, but not in its one canonical form")
    return data


def parse_vkey(text: str) -> LogKey:
    """Parse `<name>+<key id>+<base64 of 01 and the public key>`.

    Raises:
        NoteError: not a vkey, another algorithm than Ed25519, or the key id does not belong to name and key.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise NoteError("not a verifier key of the form NAME+ID+KEY")
    key = strict_base64(match["key"])
    if len(key) != 33 or key[0] != ED25519:
        raise NoteError("not an Ed25519 verifier key (algorithm 1, 32 bytes)")
    key_id = sha256(match["name"].encode() + b"\n" + key).digest()[:4]
    if key_id.hex() != match["id"]:
        raise NoteError(f"key id {match['id']} does not belong to this name and key, whose id is {key_id.hex()}")
    return LogKey(match["name"], key_id, Ed25519PublicKey.from_public_bytes(key[1:]))


def open_note(note: bytes, key: LogKey) -> str:
    """Text of a note that `key` has signed; signatures of other keys are ignored, as the specification demands.

    Raises:
        NoteError: malformed, not signed by the key, or one of the key's signatures is wrong.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise NoteError(f"{len(note)} bytes are too long for a note")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteError(f"not UTF-8 at byte {error.start}") from None
    if any(ord(character) < 0x20 and character != "\n" for character in whole):
        raise NoteError("a control character")
    text, blank, signatures = whole.rpartition("\n\n")
    if not blank or not text or not signatures.endswith("\n"):
        raise NoteError("not a note: no text, a blank line and signature lines")
    text += "\n"
    verified = False
    for line in signatures[:-1].split("\n"):
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise NoteError("a malformed signature line")
        signature = strict_base64(match["signature"])
        if len(signature) < 5:
            raise NoteError("a signature line without a signature")
        if (match["name"], signature[:4]) != (key.name, key.key_id):
            continue
        try:
            key.public.verify(signature[4:], text.encode())
        except InvalidSignature:
            raise NoteError(f"the signature of {key.name} is wrong") from None
        verified = True
    if not verified:
        raise NoteError(f"no signature by the key {key.name}+{key.key_id.hex()}")
    return text


def open_checkpoint(note: bytes, key: LogKey) -> Head:
    """The checkpoint in a note of this log: origin = name of the key, and no extension lines.

    Raises:
        NoteError: as `open_note`, or the text is not exactly those three lines.
    """
    lines = open_note(note, key).split("\n")
    if len(lines) != 4:
        raise NoteError(f"validly signed, but {len(lines) - 1} lines instead of origin, size and root")
    origin, size, root, _ = lines
    if origin != key.name:
        raise NoteError("validly signed, but the origin is not the name of the log's key")
    if not _SIZE.fullmatch(size):
        raise NoteError("validly signed, but the size is not a decimal number without leading zeros")
    digest = strict_base64(root)
    if len(digest) != 32:
        raise NoteError(f"validly signed, but the root has {len(digest)} bytes instead of 32")
    return Head(origin, int(size), digest, note)
