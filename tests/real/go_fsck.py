"""Builds and runs `tests/real/fsck`, our small Go program on libraries that nobody of this project wrote.

`python -m tests.real.go_fsck DIR...` judges whole data directories.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.real.require import missing

SOURCES = Path(__file__).parent / "fsck"


@dataclass(frozen=True)
class Verdict:
    """What the program said. Codes: 0 good, 1 bad, 2 could not judge."""

    code: int
    line: str


def program() -> Path:
    """The built program; it is kept in the cache directory under the hash of its sources and of the compiler."""
    go = shutil.which("go")
    if go is None:
        missing("Go 1.26 or newer (golang.org; on Debian a backport of golang-go)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pxl-audit"
    compiler = subprocess.run([go, "version"], capture_output=True, check=True).stdout
    content = b"\0".join((SOURCES / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    binary = cache / f"fsck-{sha256(compiler + content).hexdigest()[:16]}"
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _build(go, binary)
    return binary


def judge(*arguments: str | Path) -> Verdict:
    """Run the program. Arguments as it takes them: `DIR VKEY`, or `proof DIR VKEY [INDEX HASH HASH...]`."""
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout.count("\n") == 1, f"expected one line, got {done.stdout!r} and {done.stderr[-2000:]!r}"
    return Verdict(done.returncode, done.stdout.rstrip("\n"))


def _build(go: str, binary: Path) -> None:
    beside = binary.with_name(f"{binary.name}.{os.getpid()}.tmp")
    command = [go, "build", "-buildvcs=false", "-trimpath", "-o", str(beside), "."]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing(f"the Go modules that tests/real/fsck/go.mod names (go build said: {done.stderr.strip()[-500:]})")
    beside.rename(binary)


def main() -> int:
    """Judge the data directories that the command line names; the worst code."""
    worst = 0
    for directory in map(Path, sys.argv[1:]):
        verdict = judge(directory / "log", (directory / "keys" / "log.vkey").read_text().strip())
        print(f"{directory}: {verdict.line}")
        worst = max(worst, verdict.code)
    return worst


if __name__ == "__main__":
    sys.exit(main())
