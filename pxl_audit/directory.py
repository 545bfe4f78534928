"""The data directory: where things are, whose it is, and whether this version may touch it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pxl_audit.errors import DirectoryError
from pxl_audit.files import create_exclusively, make_directory

FORMAT = 1
MARKER = "pxl-audit.json"


class _Marker(msgspec.Struct):
    format: int
    log_id: str


@dataclass(frozen=True)
class DataDirectory:
    """An existing data directory of a format that this version understands."""

    root: Path
    log_id: str
    """16 lower-case hex digits; part of every document id."""

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def vault(self) -> Path:
        return self.root / "vault"

    @property
    def vault_lock(self) -> Path:
        return self.vault / "lock"

    @property
    def open_vault(self) -> Path:
        return self.vault / "open"

    @property
    def sealed(self) -> Path:
        return self.vault / "sealed"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def dsr(self) -> Path:
        return self.root / "dsr"

    @property
    def sinks(self) -> Path:
        return self.root / "sinks"

    @property
    def agent_lock(self) -> Path:
        return self.root / "agent.lock"

    @property
    def agent_log(self) -> Path:
        return self.root / "agent.log"

    @staticmethod
    def open(root: Path) -> DataDirectory:
        """Open an existing data directory.

        Raises:
            DirectoryError: it is missing, not ours, unreadable, or of a newer format.
        """
        if not root.is_dir():
            raise DirectoryError(f"{root}: no such directory; name one that pxl-audit has written to (--data DIR)")
        try:
            raw = (root / MARKER).read_bytes()
        except FileNotFoundError:
            raise DirectoryError(
                f"{root}: not a pxl-audit data directory (no {MARKER}); name the one that holds log/ and vault/"
            ) from None
        except OSError as error:
            raise DirectoryError(f"{root / MARKER}: {error.strerror}; run this as the user who owns it") from None
        return DataDirectory(root, _parse_marker(root, raw))

    @staticmethod
    def open_or_create(root: Path) -> DataDirectory:
        """Open a data directory, or make one of a missing or empty directory.

        Raises:
            DirectoryError: it is not ours, of a newer format, or cannot be written to.
        """
        try:
            if not (root / MARKER).exists():
                _create(root)
            directory = DataDirectory.open(root)
            make_directory(directory.spool)
        except OSError as error:
            raise DirectoryError(
                f"{error.filename or root}: {error.strerror}; the data directory must be writable"
            ) from None
        if not os.access(root, os.W_OK | os.X_OK):
            raise DirectoryError(f"{root}: not writable; give it to the user who runs the service")
        return directory


def _create(root: Path) -> None:
    make_directory(root)
    strangers = [path.name for path in root.iterdir() if not path.name.startswith(f".{MARKER}")]
    if strangers and MARKER not in strangers:
        raise DirectoryError(
            f"{root}: not empty and not a pxl-audit data directory (no {MARKER}); name an empty or a new directory"
        )
    marker = _Marker(format=FORMAT, log_id=os.urandom(8).hex())
    create_exclusively(root / MARKER, msgspec.json.encode(marker) + b"\n")


def _parse_marker(root: Path, raw: bytes) -> str:
    try:
        marker = msgspec.json.decode(raw, type=_Marker)
    except msgspec.MsgspecError as error:
        raise DirectoryError(f"{root / MARKER}: damaged ({error}); restore this file from a backup") from None
    if marker.format > FORMAT:
        raise DirectoryError(
            f"{root}: written by a newer version (format {marker.format}; this version knows {FORMAT}); "
            "update pxl-audit"
        )
    if marker.format < 1 or len(marker.log_id) != 16 or not set(marker.log_id) <= set("0123456789abcdef"):
        raise DirectoryError(f"{root / MARKER}: damaged (format or log_id); restore this file from a backup")
    return marker.log_id
