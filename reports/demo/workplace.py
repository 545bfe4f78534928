"""The directory that the demo writes to. It is used again only if an earlier demo made it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pxl_audit.errors import BusyError, UsageError
from pxl_audit.files import is_locked, make_directory, open_lock_file, try_lock, write_atomically

MARKER = "demo.json"
LOCK = "demo.lock"
SERVICES = ("gateway", "core")


@dataclass(frozen=True)
class Workplace:
    """Paths below the directory given by `--out`."""

    root: Path

    @property
    def logs(self) -> Path:
        """Output of the services."""
        return self.root / "logs"

    @property
    def pack(self) -> Path:
        """The evidence pack."""
        return self.root / "pack"

    def data(self, service: str) -> Path:
        """The data directory of a service."""
        return self.root / service

    def save(self, summary: Mapping[str, object]) -> None:
        """Keep what was found, for machines."""
        write_atomically(self.root / MARKER, json.dumps({"demo": 1, **summary}, indent=1).encode() + b"\n")


@contextlib.contextmanager
def workplace(root: Path) -> Iterator[Workplace]:
    """An empty workplace, held against other demos.

    Raises:
        UsageError: the directory holds something that no demo made.
        BusyError: a demo, or an agent of one, still runs there.
    """
    place = Workplace(root)
    try:
        make_directory(root)
        names = {path.name for path in root.iterdir()}
    except OSError as error:
        raise UsageError(f"--out {root}: {error.strerror}; name a directory that can be written to") from None
    if names - {LOCK} and MARKER not in names:
        raise UsageError(f"--out {root}: not empty, and not made by an earlier demo; name a new directory")
    fd = open_lock_file(root / LOCK)
    try:
        if not try_lock(fd, exclusive=True):
            raise BusyError(f"{root}: another demo is running there; wait for it, or name another directory")
        _clear(place)
        yield place
    finally:
        os.close(fd)


def _clear(place: Workplace) -> None:
    for service in SERVICES:
        agent_lock = place.data(service) / "agent.lock"
        if agent_lock.exists() and is_locked(agent_lock):
            raise BusyError(
                f"{place.data(service)}: an agent is still at work there; wait a few seconds, then try again"
            )
    place.save({})
    for path in (place.logs, place.pack, *(place.data(service) for service in SERVICES)):
        shutil.rmtree(path, ignore_errors=True)
    make_directory(place.logs)
