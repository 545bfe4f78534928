"""What a test does when a real part (a server, a Go program) is not on this machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Fail under `PXL_AUDIT_REQUIRE_REAL=1` (CI sets it), else skip; `what` says what is missing and how to get it."""
    if os.environ.get("PXL_AUDIT_REQUIRE_REAL") == "1":
        pytest.fail(f"a real part is required here and missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")
