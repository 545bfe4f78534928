"""Runs `pxl-audit ...` in a process of its own, exactly as anybody would type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from pxl_audit.errors import FoundBadError

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    words: tuple[str, ...]
    exit_code: int
    output: str
    errors: str

    def answer(self) -> dict[str, object]:
        """The JSON object that it printed.

        Raises:
            FoundBadError: it did not end well, or printed something else.
        """
        try:
            answer = json.loads(self.output)
        except ValueError:
            answer = None
        if self.exit_code != 0 or not isinstance(answer, dict):
            said = (self.errors.strip() or self.output.strip() or "nothing").splitlines()[-1]
            raise FoundBadError(f"{self} ended with {self.exit_code} and said: {said}")
        return answer

    def __str__(self) -> str:
        """The command as typed."""
        return " ".join(("pxl-audit", *self.words))


def run_command(*words: str) -> Finished:
    """Run a command and wait for its end.

    Raises:
        FoundBadError: it took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pxl_audit.cli.main", *words],
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FoundBadError(f"pxl-audit {' '.join(words)}: took longer than {TIMEOUT_SECONDS:.0f} s") from None
    return Finished(words, done.returncode, done.stdout, done.stderr)


def plain_environment() -> dict[str, str]:
    """Our environment without settings of pxl-audit and without Elasticsearch: the demo touches nobody's servers."""
    foreign = ("PXL_", "GATEWAY_TOKENS", "ELASTICSEARCH_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
