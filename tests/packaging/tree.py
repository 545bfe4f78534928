"""Where the files of this checkout are, for the tests that read them instead of running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pxl_audit", "compliance", "reports")
WRITTEN_BY_US = (*PACKAGES, "examples", "tests", "scripts", "docs", ".ci")
TEXT_SUFFIXES = frozenset(
    {"", ".css", ".csv", ".go", ".html", ".j2", ".jinja", ".js", ".json", ".md", ".py", ".sh", ".svg", ".toml"}
)


def python_files(*folders: str) -> Iterator[Path]:
    """Python files below the named folders of the checkout."""
    for folder in folders:
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def text_files() -> Iterator[Path]:
    """Every text file that we wrote, those at the top of the checkout included."""
    yield from sorted(path for path in ROOT.iterdir() if path.is_file() and path.suffix in {".md", ".toml"})
    for folder in WRITTEN_BY_US:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts:
                yield path


def name_of(path: Path) -> str:
    """The path inside the checkout, for messages."""
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
