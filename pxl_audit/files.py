"""Every system call that changes the disk, in one place, so that each can be made to fail in a test.

Rules kept here: a new or renamed file is durable only after its directory was fsynced too; a file is replaced by
writing beside it, fsync, rename, fsync of the directory; an fsync that failed is never repeated on the same file,
because the kernel may have dropped the dirty pages it could not write.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pxl_audit.errors import BusyError

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


def make_directory(path: Path) -> None:
    """Create `path` (0700) with its missing parents; each new entry is durable on return."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=DIRECTORY_MODE)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data`; a short write is continued, an error is raised."""
    view = memoryview(data)
    while view:
        written = os.write(fd, view)
        view = view[written:]


def write_new(path: Path, data: bytes) -> None:
    """Create `path` with `data`, durable but for its directory entry; it must not exist."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: Path, data: bytes, *, sync_parent: bool = True) -> None:
    """Replace `path` by `data` as a whole: after a crash the file is the old or the new one, never a mixture."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()  # left by a crashed process that had our pid
    try:
        write_new(beside, data)
        beside.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if sync_parent:
        sync_directory(path.parent)


def create_exclusively(path: Path, data: bytes) -> bool:
    """Create `path` with `data` as a whole and durably; False if it existed already (which is then left alone)."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    write_new(beside, data)
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    sync_directory(path.parent)
    return True


def publish_file(temporary: Path, path: Path) -> None:
    """Make a file that a library wrote durable, and move it over `path`."""
    fd = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fchmod(fd, FILE_MODE)
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(path)
    sync_directory(path.parent)


def append_durably(path: Path, data: bytes) -> None:
    """Append `data` in one durable step; a torn append is cut off again before the error is raised."""
    existed = path.exists()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
    try:
        before = os.fstat(fd).st_size
        try:
            write_all(fd, data)
        except OSError:
            os.ftruncate(fd, before)
            raise
        os.fdatasync(fd)
    finally:
        os.close(fd)
    if not existed:
        sync_directory(path.parent)


def unlink_durably(path: Path) -> None:
    """Remove a file; no error if it is gone already."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def try_lock(fd: int, *, exclusive: bool) -> bool:
    """Take a `flock` without waiting; False if somebody else holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def open_lock_file(path: Path) -> int:
    """Open (and create) a lock file; the descriptor is not inherited by child programs."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


@contextlib.contextmanager
def locked(path: Path, *, exclusive: bool, timeout_seconds: float) -> Iterator[None]:
    """Hold a `flock` on `path`.

    Raises:
        BusyError: somebody else held it for the whole time.
    """
    fd = open_lock_file(path)
    try:
        deadline = time.monotonic() + timeout_seconds
        while not try_lock(fd, exclusive=exclusive):
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"{path}: another process has held this lock for {timeout_seconds:g} s; try again when it is done"
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(fd)


def is_locked(path: Path) -> bool:
    """Whether another process holds `path` exclusively; False where the file is missing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(fd, exclusive=False)
    finally:
        os.close(fd)
