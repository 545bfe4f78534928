"""The log's own key: made on first start, kept in `keys/` (0600), never replaced silently."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import LogError
from pxl_audit.files import create_exclusively, make_directory
from pxl_audit.log.note import NoteError, Signer

SECRET = "log.key"  # noqa: S105  # a file name
PUBLIC = "log.vkey"


def load_or_create(directory: DataDirectory, origin: str) -> Signer:
    """The log's signer. A key is made only where the log does not exist yet.

    Raises:
        LogError: the key is missing although the log exists, or is damaged, or its name is not the log's origin.
    """
    secret = directory.keys / SECRET
    if not secret.exists():
        if (directory.log / "checkpoint").exists():
            raise LogError(
                f"{secret}: missing, but the log exists; put the key back from its own backup "
                "(a new key cannot continue this log)"
            )
        make_directory(directory.keys)
        seed = Ed25519PrivateKey.generate().private_bytes_raw()
        create_exclusively(secret, f"{Signer(origin, seed).skey}\n".encode())
    signer = load_signer(directory)
    if not (directory.keys / PUBLIC).exists():
        create_exclusively(directory.keys / PUBLIC, f"{signer.vkey}\n".encode())
    return signer


def load_signer(directory: DataDirectory) -> Signer:
    """The existing log key.

    Raises:
        LogError: it is missing or damaged.
    """
    path = directory.keys / SECRET
    try:
        return Signer.from_skey(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        raise LogError(f"{path}: no log key yet; it is made when the agent first runs") from None
    except NoteError as error:
        raise LogError(f"{path}: {error}; put the key back from its own backup") from None


def load_vkey(directory: DataDirectory) -> str:
    """The public verifier key, as text without a newline.

    Raises:
        LogError: there is none yet.
    """
    path = directory.keys / PUBLIC
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise LogError(f"{path}: no log key yet; it is made when the agent first runs") from None
