"""C2SP signed notes with Ed25519: sign, parse strictly, verify.

Sources: C2SP signed-note.md v1.0.0; key id and signature types as in section "Ed25519 signatures" (type byte 0x01).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pxl_audit.errors import FoundBadError, UsageError

ED25519 = b"\x01"
DASH = "— "  # em dash and space begin a signature line
MAX_SIGNATURES = 100
_PRIVATE = "PRIVATE+KEY+"


class NoteError(FoundBadError):
    """A note is malformed, or no known key signed it."""


def strict_base64(text: str) -> bytes:
    """Decode base64 that is exactly what an encoder writes; ValueError otherwise.

    Python's decoder drops bad characters and ignores non-zero trailing bits, which would let two texts mean one thing.
    """
    try:
        data = b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if b64encode(data).decode("ascii") != text:
        raise ValueError("not canonical base64")
    return data


def check_name(name: str) -> str:
    """A key's name: not empty, no white space, no plus sign."""
    if not name or "+" in name or any(character.isspace() for character in name):
        raise UsageError(
            f"key name {name!r}: expected a name without spaces and plus signs, such as audit.example.org/gateway"
        )
    return name


def key_id(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    """First four bytes of `SHA-256(name || 0x0A || type || public key)`."""
    return sha256(name.encode() + b"\n" + kind + public).digest()[:4]


class Signer:
    """An Ed25519 key with a name. `seed` is 32 bytes."""

    def __init__(self, name: str, seed: bytes) -> None:
        self.name = check_name(name)
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(name, self.public)

    @property
    def vkey(self) -> str:
        """The verifier key: `name+hex(key id)+base64(type || public key)`."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self.public).decode()}"

    @property
    def skey(self) -> str:
        """The private key in Go's encoding, for the key file only."""
        return f"{_PRIVATE}{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self._seed).decode()}"

    @staticmethod
    def from_skey(text: str) -> Signer:
        """Parse a private key; NoteError when it is damaged (the message never quotes it)."""
        parts = text.removeprefix(_PRIVATE).split("+", 2)
        try:
            if not text.startswith(_PRIVATE) or len(parts) != 3:
                raise ValueError
            data = strict_base64(parts[2])
            if data[:1] != ED25519 or len(data) != 33:
                raise ValueError
            signer = Signer(parts[0], data[1:])
        except (ValueError, UsageError):
            raise NoteError("not an Ed25519 private key of the form PRIVATE+KEY+name+id+base64") from None
        if signer.key_id.hex() != parts[1]:
            raise NoteError("the private key's id does not belong to its name and key")
        return signer

    def sign(self, text: str) -> bytes:
        """The whole note: text, blank line, one signature line. `text` must end with a newline."""
        if not text.endswith("\n"):
            raise ValueError("a note's text ends with a newline")
        signature = self._key.sign(text.encode())
        line = f"{DASH}{self.name} {b64encode(self.key_id + signature).decode()}\n"
        return f"{text}\n{line}".encode()


class NoteVerifier:
    """A verifier key (`vkey`) of type Ed25519."""

    def __init__(self, vkey: str) -> None:
        parts = vkey.strip().split("+", 2)
        try:
            name, identifier, data = parts[0], parts[1], strict_base64(parts[2])
        except (IndexError, ValueError):
            raise UsageError(
                f"verifier key {vkey!r}: expected name+id+base64, as `pxl-audit key show` prints it"
            ) from None
        if data[:1] != ED25519 or len(data) != 33 or key_id(name, data[1:]).hex() != identifier:
            raise UsageError(f"verifier key {vkey!r}: its id does not belong to its name and key; copy it again, whole")
        self.name = check_name(name)
        self.key_id = bytes.fromhex(identifier)
        self._key = Ed25519PublicKey.from_public_bytes(data[1:])

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `text`."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True


def open_note(note: bytes, verifiers: Sequence[NoteVerifier]) -> str:
    """The text of a note that at least one of `verifiers` signed.

    Raises:
        NoteError: it is malformed, a known key's signature is bad, or no known key signed it.
    """
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteError(f"not a signed note: not UTF-8 at byte {error.start}") from None
    if any(ord(character) < 0x20 and character != "\n" for character in whole):
        raise NoteError("not a signed note: holds a control character")
    text, blank, signatures = whole.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise NoteError("not a signed note: no blank line, or the last line does not end")
    text += "\n"
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"not a signed note: {len(lines)} signatures, at most {MAX_SIGNATURES} are read")
    good = 0
    for line in lines:
        name, identifier, signature = _parse_signature(line)
        verifier = known.get((name, identifier))
        if verifier is None:
            continue  # an unknown key says nothing (signed-note: MUST be ignored)
        if not verifier.verifies(text.encode(), signature):
            raise NoteError(f"bad signature by {name}: the text was altered after signing, or signed by another key")
        good += 1
    if not good:
        raise NoteError(f"not signed by {', '.join(verifier.name for verifier in verifiers) or 'any known key'}")
    return text


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    try:
        if not line.startswith(DASH) or not name or "+" in name:
            raise ValueError
        data = strict_base64(encoded)
        if len(data) < 5:
            raise ValueError
    except ValueError:
        raise NoteError("not a signed note: malformed signature line") from None
    return name, data[:4], data[4:]
