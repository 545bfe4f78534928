"""What every test stands on: an environment without our settings, and no silent skip where all parts are required."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from pxl_audit.directory import DataDirectory

REQUIRE_REAL = "PXL_AUDIT_REQUIRE_REAL"
SERVERS = "ELASTICSEARCH_"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no setting of whoever runs them, and never talk to that person's servers."""
    for name in os.environ:
        if (name.startswith("PXL_AUDIT_") and name != REQUIRE_REAL) or name.startswith(SERVERS):
            monkeypatch.delenv(name)


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    """A new data directory; no agent runs."""
    return DataDirectory.open_or_create(tmp_path / "data")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every real part is required, a skip of any kind is a failure."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get(REQUIRE_REAL) == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although {REQUIRE_REAL}=1: {reason}"
