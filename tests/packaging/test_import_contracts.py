"""Imports point one way, the capture path is light, the verifier is independent: pyproject.toml has the contracts."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from tests.packaging.tree import PACKAGES, ROOT

pytestmark = pytest.mark.slow


def test_contracts_are_kept() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert contracts["root_packages"] == list(PACKAGES)
    program = (
        "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command(['--no-cache']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{len(contracts['contracts'])} kept, 0 broken" in done.stdout
