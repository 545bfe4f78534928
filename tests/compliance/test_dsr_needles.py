"""Values in every form they may have been left behind in, and whether they stand there as a whole."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from compliance.dsr import raw_scan
from compliance.dsr.needles import is_weak
from compliance.dsr.raw_scan import finds_planted, scan_files

VALUE = "zoë/müller"

FORMS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "json": lambda text: json.dumps(text).encode(),
    "percent": lambda text: quote(text).encode(),
    "percent, all": lambda text: quote(text, safe="").encode(),
    "percent, lower": lambda text: quote(text, safe="").lower().encode(),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "base64, 0": lambda text: b64encode(text.encode()),
    "base64, 1": lambda text: b64encode(b" " + text.encode()),
    "base64, 2": lambda text: b64encode(b"  " + text.encode() + b" "),
    "base64, url": lambda text: urlsafe_b64encode(b"a:b:" + text.encode() + b":??>"),
}


def _found(tmp_path: Path, data: bytes, value: str = VALUE) -> list[tuple[int, bool]]:
    (tmp_path / "file").write_bytes(data)
    return [(hit.offset, hit.whole) for hit in scan_files(tmp_path, [value]).hits]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_as_a_whole(tmp_path: Path, form: str) -> None:
    assert any(whole for _, whole in _found(tmp_path, FORMS[form](VALUE)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_inside_a_longer_word_is_for_review(tmp_path: Path, form: str) -> None:
    hits = _found(tmp_path, FORMS[form](f"not-{VALUE}-at-all"), VALUE)
    assert not any(whole for _, whole in hits)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (b'{"user.id":"may-7"}', True),
        (b"/v1/may-7?x", True),
        (b"%2Fmay-7%2F", True),
        (b"told may-7.", True),
        (b"may-7", True),
        (b"\\nmay-7\\n", True),
        (b"may-77", False),
        (b"dismay-7", False),
        (b"may-7@example.org", False),
        (b"may-7%40example.org", False),
        (b"may-7.cfg", False),
        ("émay-7".encode(), False),
    ],
)
def test_boundaries(tmp_path: Path, text: bytes, whole: bool) -> None:
    assert [hit[1] for hit in _found(tmp_path, text, "may-7")] == [whole]


def test_a_value_across_two_reads_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_scan, "CHUNK_BYTES", 5000)
    places = [0, 4096, 4998, 9_998, 14_000, 20_300]
    data = bytearray(b" " * 20_310)
    for place in places:
        data[place : place + 10] = b"abcde-fghi"
    assert [offset for offset, _ in _found(tmp_path, bytes(data), "abcde-fghi")] == places


def test_hits_inside_random_base64_of_short_values_are_not_looked_for(tmp_path: Path) -> None:
    assert not _found(tmp_path, b64encode(b"may!"), "may!")


def test_what_is_planted_is_found() -> None:
    assert finds_planted()


def test_a_search_that_finds_nothing_fails_its_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_scan, "_occurrences", lambda *_: iter(()))
    assert not finds_planted()


@pytest.mark.parametrize(("value", "weak"), [("may", True), ("1234567", True), ("gateway", True), ("maya", False)])
def test_words_of_the_format_short_values_and_numbers_prove_nothing(value: str, weak: bool) -> None:
    assert is_weak(value, frozenset({"gateway"})) is weak
