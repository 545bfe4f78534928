"""The order of system calls is the durability: each is watched, and each is made to fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pxl_audit.errors import BusyError
from pxl_audit.files import (
    append_durably,
    create_exclusively,
    is_locked,
    locked,
    publish_file,
    write_all,
    write_atomically,
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the system calls that change the disk, in order; fsyncs with what they were for."""
    seen: list[str] = []

    def watch(owner: Any, name: str, label: Callable[..., str]) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(label(*args))
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    def kind(fd: int) -> str:
        return "directory" if Path(f"/proc/self/fd/{fd}").is_dir() else "file"

    watch(os, "fsync", lambda fd: f"fsync {kind(fd)}")
    watch(os, "fdatasync", lambda fd: f"fsync {kind(fd)}")
    watch(os, "write", lambda *_: "write")
    watch(os, "link", lambda *_: "link")
    watch(Path, "rename", lambda *_: "rename")
    watch(Path, "unlink", lambda *_: "unlink")
    return seen


def test_replacing_a_file(tmp_path: Path, calls: list[str]) -> None:
    """Content durable before the rename, the rename durable before we return."""
    write_atomically(tmp_path / "f", b"new")
    assert [call for call in calls if call != "unlink"] == ["write", "fsync file", "rename", "fsync directory"]


def test_creating_exclusively(tmp_path: Path, calls: list[str]) -> None:
    """Content durable before the name exists; the loser changes nothing."""
    assert create_exclusively(tmp_path / "f", b"one")
    assert calls == ["write", "fsync file", "link", "unlink", "fsync directory"]
    assert not create_exclusively(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_publishing_a_library_s_file(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "t").write_bytes(b"x")
    calls.clear()
    publish_file(tmp_path / "t", tmp_path / "f")
    assert calls == ["fsync file", "rename", "fsync directory"]


def test_appending(tmp_path: Path, calls: list[str]) -> None:
    """The first append makes the name durable too."""
    append_durably(tmp_path / "f", b"a\n")
    assert calls == ["write", "fsync file", "fsync directory"]
    calls.clear()
    append_durably(tmp_path / "f", b"b\n")
    assert calls == ["write", "fsync file"]
    assert (tmp_path / "f").read_bytes() == b"a\nb\n"


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_failed_replacement_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """EIO: the old file stays, nothing is left beside it."""
    write_atomically(tmp_path / "f", b"old")

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="Input/output"):
        write_atomically(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_torn_append_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC in the middle of a line: the file ends where it ended."""
    append_durably(tmp_path / "f", b"a\n")
    real = os.write
    count = [0]

    def short(fd: int, data: bytes) -> int:
        count[0] += 1
        if count[0] == 2:
            raise OSError(28, "No space left on device")
        return real(fd, data[:2])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        append_durably(tmp_path / "f", b"bbbbbb\n")
    assert (tmp_path / "f").read_bytes() == b"a\n"


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def short(_: int, data: memoryview) -> int:
        written.extend(data[:3])
        return min(3, len(data))

    monkeypatch.setattr(os, "write", short)
    write_all(99, b"0123456789")
    assert written == b"0123456789"


def test_locks(tmp_path: Path) -> None:
    """Shared beside shared, exclusive alone, and a clear word for who waits in vain."""
    path = tmp_path / "lock"
    assert not is_locked(path)
    with locked(path, exclusive=False, timeout_seconds=1), locked(path, exclusive=False, timeout_seconds=1):
        assert not is_locked(path)
        with pytest.raises(BusyError, match="another process"), locked(path, exclusive=True, timeout_seconds=0.05):
            pass
    with locked(path, exclusive=True, timeout_seconds=1):
        assert is_locked(path)
