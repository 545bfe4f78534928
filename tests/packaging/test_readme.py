"""What the README and the documentation tell people to type works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pxl_audit.cli.main import build_parser
from tests.packaging.tree import ROOT, name_of

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _blocks(page: Path, language: str) -> Iterator[str]:
    for found, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if found == language:
            yield text


def test_python_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = list(_blocks(ROOT / "README.md", "python"))
    assert blocks, "the README shows how a service is wrapped"
    for number, text in enumerate(blocks, 1):
        program = tmp_path / f"block{number}.py"
        program.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-I", program.name], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"python block {number} of README.md:\n{text}\n{done.stderr}"


def _calls(page: Path) -> Iterator[str]:
    """Lines behind a prompt in console blocks; a backslash at the end joins the next line."""
    for text in _blocks(page, "console"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield line[2:]


def test_console_lines_are_right() -> None:
    wrong = [f"{name_of(page)}: $ {line}" for page in _pages() for line in _calls(page) if not _is_right(line)]
    assert wrong == []
    assert any("pxl-audit" in line for line in _calls(ROOT / "README.md"))


def _is_right(line: str) -> bool:
    words = shlex.split(line.partition("|")[0], comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words and words[0].startswith(("scripts/", ".ci/", "examples/")):
        return (ROOT / words[0]).is_file()
    if not words or words[0] != "pxl-audit":
        return True  # somebody else's program
    if "--help" in words:
        words.remove("--help")
    try:
        build_parser(words[1:]).parse_args(words[1:])
    except SystemExit:
        return False
    return True


def test_links_lead_somewhere() -> None:
    dead = [
        f"{name_of(page)}: {target}"
        for page in _pages()
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("pxl-audit verify var/audit --json | jq .size", True),
        ("ELASTICSEARCH_URL=http://127.0.0.1:9200 pxl-audit agent run   # ships too", True),
        ("pxl-audit verify --no-such-option", False),
        ("scripts/no-such-script", False),
        ("pip install pxl-audit", True),
    ],
)
def test_the_check_itself(line: str, right: bool) -> None:
    assert _is_right(line) is right
