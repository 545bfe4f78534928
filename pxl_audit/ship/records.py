"""What there is to ship: the published records of one data directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from pxl_audit.directory import DataDirectory
from pxl_audit.files import locked
from pxl_audit.vault.query import published_size, rows
from pxl_audit.vault.row import Row

LOCK_SECONDS = 10.0


class PublishedRecords:
    """Rows below the size that the signed checkpoint says; a record that is not published may still be lost."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory

    def held_still(self) -> AbstractContextManager[None]:
        """While this is held no opening is destroyed.

        Raises:
            BusyError: openings are being destroyed.
        """
        if not self._directory.vault.is_dir():
            return nullcontext()
        return locked(self._directory.vault_lock, exclusive=False, timeout_seconds=LOCK_SECONDS)

    def size(self) -> int:
        """How many records are published; 0 before the first checkpoint."""
        return published_size(self._directory)

    def rows(self, start: int, end: int) -> Iterator[Row]:
        """The rows of a range, in order."""
        return rows(self._directory, start, end)
