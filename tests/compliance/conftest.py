"""The log of `people.py`, built once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pxl_audit.directory import DataDirectory
from tests.compliance.people import build


@pytest.fixture(scope="session")
def log_of_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("people") / "audit").root


@pytest.fixture
def directory(log_of_people: Path, tmp_path: Path) -> DataDirectory:
    shutil.copytree(log_of_people, tmp_path / "audit")
    return DataDirectory.open(tmp_path / "audit")
