"""The product speaks of itself alone, and claims no more than it can show."""

from __future__ import annotations

import re

import pytest

from tests.packaging.tree import name_of, text_files

pytestmark = pytest.mark.slow

# The patterns are written so that they do not find themselves.
NOT_OURS = {
    "a path of one machine": r"(?<![\w.])/([w]ork|[r]oot|[f]arm|home/[a-z]+)/",
    "a registry's host": r"[p]ypi\.(org|python)|python[h]osted\.org|repo1?\.[m]aven|maven\.[a]pache\.org/maven2"
    r"|proxy\.[g]olang|sum\.[g]olang|registry\.[n]pmjs|deb\.[d]ebian\.org|--[i]ndex-url|GO[P]ROXY=",
    "how it was built": r"(?i)\b[A]I[- ](generated|assistant|agent)|[h]elper agent|\b[i]ssue #?\d|co-[a]uthored-by"
    r"|\b[C]laude\b|\b[L]LMs?\b|language [m]odel|DEVELOPERS\.[m]d|[d]esign\.md|shared/[r]esearch",
}

OVERCLAIMS = (
    r"(?i)\b[c]ompliant\b|\b[c]ertified\b|tamper-?\s?[p]roof|\b[a]nonymi[sz](ed|es|e|ation|ing)\b|\b[u]nbreakable\b"
    r"|\bensures? [c]ompliance|[f]ully comp|100\s?% [s]ecure|\b[m]ilitary-grade"
)

ALLOWED: dict[str, tuple[str, ...]] = {}
"""Per file, pieces of lines where such a word is denied or explained."""


@pytest.mark.parametrize("what", NOT_OURS)
def test_nothing_of_a_machine_or_of_how_it_was_built(what: str) -> None:
    pattern = re.compile(NOT_OURS[what])
    found = [f"{name}:{number}: {line.strip()[:160]}" for name, number, line in _lines() if pattern.search(line)]
    assert found == []


def test_no_word_claims_too_much() -> None:
    pattern = re.compile(OVERCLAIMS)
    found = [
        f"{name}:{number}: {line.strip()[:160]}"
        for name, number, line in _lines()
        if not name.startswith("tests/")  # tests look for such words
        and pattern.search(line)
        and not any(piece in line for piece in ALLOWED.get(name, ()))
    ]
    assert found == []


def test_the_allow_list_names_only_what_is_there() -> None:
    lines = [(name, line) for name, _, line in _lines()]
    stale = [
        f"{name}: {piece}"
        for name, pieces in ALLOWED.items()
        for piece in pieces
        if not any(name == of and piece in line and re.search(OVERCLAIMS, line) for of, line in lines)
    ]
    assert stale == []


def _lines() -> list[tuple[str, int, str]]:
    return [
        (name_of(path), number, line)
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]
