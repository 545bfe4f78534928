"""Every setting and every argument of the middleware stands in docs/settings.md."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

from pxl_audit import AuditMiddleware
from pxl_audit.agent.core import AgentSettings
from pxl_audit.settings import OWN_VARIABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_settings() -> None:
    """The key, its variable and its default."""
    for member in fields(AgentSettings):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `agent.{member.name}` |"))
        assert f"`PXL_AUDIT_AGENT_{member.name.upper()}`" in row
        assert member.default == "" or f"`{member.default:g}`" in row


def test_arguments() -> None:
    """All but the application."""
    parameters = list(inspect.signature(AuditMiddleware).parameters)
    assert [name for name in parameters if name != "app" and f"| `{name}` |" not in PAGE] == []


def test_variables() -> None:
    """What the code reads from the environment."""
    read = set(OWN_VARIABLES) - {"PXL_AUDIT_REQUIRE_REAL"}
    for path in (ROOT / "pxl_audit" / "ship").glob("*.py"):
        read |= set(re.findall(r"ELASTICSEARCH_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8")))
    assert [
        name for name in sorted(read) if f"`{name.removesuffix('_FILE')}`" not in PAGE and f"`{name}`" not in PAGE
    ] == []
