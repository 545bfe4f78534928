"""Directories made by hand, built once a session and copied for each test that spoils one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.verify import build


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The large sample; not to be changed."""
    return build.large().write(tmp_path_factory.mktemp("good") / "data")


@pytest.fixture
def root(good: Path, tmp_path: Path) -> Path:
    """A copy of the large sample, to be spoilt."""
    return Path(shutil.copytree(good, tmp_path / "data"))
