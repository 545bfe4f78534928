"""Files that should not be there: beyond the tree, under names that no file has, left over from a crash."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pxl_audit.verify.open_vault import open_file
from pxl_audit.verify.paths import parse_path
from pxl_audit.verify.report import Findings
from pxl_audit.verify.sealed import sealed_file

_BESIDE = re.compile(r"\..+\.tmp")
"""A file being written beside the one it will replace."""


def _walk(root: Path, below: str = "") -> Iterator[str]:
    """All files under a directory, as paths relative to it; one directory is in memory at a time."""
    try:
        with os.scandir(root / below) as entries:
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except FileNotFoundError:
        return
    for name, is_directory in found:
        path = f"{below}{name}"
        if is_directory:
            yield from _walk(root, f"{path}/")
        else:
            yield path


def check_log_files(log: Path, published: int, *, busy: bool, findings: Findings) -> None:
    """Files that a tree of `published` leaves does not have. `busy`: an agent may be publishing the next one."""
    for path in _walk(log):
        if path == "checkpoint" or _BESIDE.fullmatch(path.rpartition("/")[2]):
            continue  # half a tile beside its place holds no personal data, and the next agent removes it
        resource = parse_path(path)
        if resource is None:
            findings.add("stray-file", f"log/{_shown(path)}", "only files of a tlog-tiles log", "a file that is none")
        elif resource.size > published and not busy:
            findings.add(
                "beyond-checkpoint",
                f"log/{path}",
                f"a tree of {published} leaves",
                f"a file that only a tree of {resource.size} leaves has",
                index=published,
            )


def check_vault_files(vault: Path, published: int, *, busy: bool, findings: Findings) -> None:
    """Files of vault/ that are no vault files, and sealed rows that the log does not have."""
    for path in _walk(vault):
        directory, _, name = path.rpartition("/")
        if path == "lock" or (directory == "open" and open_file(Path(name)) is not None):
            continue
        sealed = sealed_file(Path(name)) if directory == "sealed" else None
        if sealed is not None:
            if sealed.end > published and not busy:
                found = f"rows up to {sealed.end - 1}"
                findings.add(
                    "beyond-checkpoint",
                    sealed.name,
                    f"rows below {published}",
                    found,
                    index=max(published, sealed.first),
                )
        elif not (busy and _BESIDE.fullmatch(name)):
            # Unlike in log/, what is left over here may hold parts of persons, out of the reach of an erasure.
            findings.add(
                "stray-file", f"vault/{_shown(path)}", "only vault files and the lock", "a file that is neither"
            )


def _shown(path: str) -> str:
    """A path that somebody else chose, without control characters."""
    return ascii(path)[1:-1]
