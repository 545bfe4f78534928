"""Building: what is in a pack, what is not, and that it is whole or not there."""

from __future__ import annotations

import csv
import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import reports.pack
from pxl_audit.errors import UnavailableError, UsageError
from pxl_audit.log.note import NoteVerifier, open_note
from reports.verify import verify_pack
from tests.compliance_checks.records import CANARIES, Record, control
from tests.reports.packs import (
    HOSTILE,
    OTHER,
    SIGNER,
    build,
    files_of,
    hostile_records,
    ordinary_records,
    source,
    tampered,
)

pytestmark = pytest.mark.slow

OVERCLAIMS = re.compile(
    r"\b(compliant|certified|satisf\w*|anonymi[sz]ed|tamper-?proof)\b|guarantee of compliance", re.I
)


def model_of(pack: Path) -> dict[str, Any]:
    model: dict[str, Any] = json.loads((pack / "model.json").read_bytes())
    return model


def states_of(pack: Path) -> dict[str, str]:
    return {
        control["id"]: control["state"]
        for framework in model_of(pack)["frameworks"]
        for control in framework["controls"]
    }


def csv_rows(pack: Path, name: str) -> list[dict[str, str]]:
    with (pack / "populations" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_an_ordinary_pack(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records()))
    model = model_of(pack.path)
    assert model["period"]["to_date"] is True
    assert (model["summary"]["records"], model["summary"]["exchanges"]) == (14, 8)
    assert model["summary"]["known_missing"] == 3
    states = states_of(pack.path)
    assert states["Art. 17"] == states["P4.3"] == states["A.8.10"] == "tested-no-exception"
    assert states["A.5.28"] == "tested-no-exception"  # integrity
    assert states["PI1.3"] == states["A.8.15"] == "tested-with-exception"
    assert states["CC1.1"] == "manual"
    assert states["A1.1"] == "not-tested"
    rows = {population["id"]: population["rows"] for population in model["populations"]}
    assert rows == {
        "exchanges_by_day": 4,
        "routes": 2,
        "denied_failed": 2,
        "anonymous_changes": 1,
        "control_events": 6,
        "gaps": 1,
        "erasures": 1,
    }
    assert [row["index"] for row in csv_rows(pack.path, "denied_failed")] == ["6", "7"]
    assert verify_pack(pack.path).ok


def test_the_note_is_over_the_manifest(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records()))
    text = open_note((pack.path / "manifest.note").read_bytes(), [NoteVerifier(SIGNER.vkey)])
    digest = sha256((pack.path / "manifest.json").read_bytes()).hexdigest()
    assert text.split("\n")[:4] == [
        "pxl-audit evidence pack v1",
        f"origin {SIGNER.name}",
        f"pack {pack.id}",
        f"manifest sha256 {digest}",
    ]


def test_the_same_order_gives_the_same_bytes(tmp_path: Path) -> None:
    one = build(tmp_path / "one", source(ordinary_records()), source([Record()], signer=OTHER, log="ff" * 8))
    two = build(tmp_path / "b" / "two", source(ordinary_records()), source([Record()], signer=OTHER, log="ff" * 8))
    assert files_of(one.path) == files_of(two.path)
    assert one.id == two.id


def test_another_clock_gives_another_pack(tmp_path: Path) -> None:
    one = build(tmp_path / "one", source(ordinary_records()))
    two = build(tmp_path / "two", source(ordinary_records()), now=datetime(2027, 2, 1, tzinfo=UTC))
    assert one.id != two.id
    assert model_of(two.path)["period"]["to_date"] is False
    assert "to date" not in (two.path / "report.html").read_text(encoding="utf-8")
    assert "to date" in (one.path / "report.html").read_text(encoding="utf-8")


def test_two_logs_make_one_pack(tmp_path: Path) -> None:
    pack = build(
        tmp_path / "pack",
        source(ordinary_records()),
        source([control("audit.log.created"), Record(service="core")], signer=OTHER, log="ff" * 8),
    )
    assert {row["log"] for row in csv_rows(pack.path, "exchanges_by_day")} == {"00112233445566aa", "ff" * 8}
    assert sorted(path.name for path in (pack.path / "keys").iterdir()) == ["00112233445566aa.vkey", f"{'ff' * 8}.vkey"]
    assert verify_pack(pack.path).ok


def test_no_personal_data(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records()))
    for name, data in files_of(pack.path).items():
        for canary in CANARIES:
            assert canary.encode() not in data, name


def test_no_overclaim_anywhere(tmp_path: Path) -> None:
    for number, records in enumerate((ordinary_records(), [], [Record()])):
        pack = build(tmp_path / str(number), source(records))
        for name, data in files_of(pack.path).items():
            found = OVERCLAIMS.search(data.decode("utf-8"))
            assert found is None, f"{name}: {found}"


def test_the_overclaim_lint_can_fail() -> None:
    assert OVERCLAIMS.search("this system is Compliant.")


def test_an_empty_period_says_so(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records()), period="2025-Q4")
    model = model_of(pack.path)
    assert model["summary"]["records"] == 0
    assert "No record lies in this period" in model["summary"]["statement"]
    assert "No record lies in this period" in (pack.path / "report.html").read_text(encoding="utf-8")
    assert "tested-no-exception" not in states_of(pack.path).values()
    assert "tested-with-exception" not in states_of(pack.path).values()
    assert verify_pack(pack.path).ok


def test_a_period_without_occurrence_is_no_pass(tmp_path: Path) -> None:
    days = [Record(f"2026-11-{day} 12:00:00") for day in range(20, 24)]
    states = states_of(build(tmp_path / "pack", source(days)).path)
    assert states["Art. 17"] == "no-occurrence"
    assert states["PI1.3"] == "tested-no-exception"


def test_a_log_that_does_not_verify_carries_nothing(tmp_path: Path) -> None:
    days = [Record(f"2026-11-{day} 12:00:00") for day in range(20, 24)]
    states = states_of(build(tmp_path / "pack", tampered(source(days))).path)
    assert not {"tested-no-exception", "no-occurrence"} & set(states.values())
    assert states["A.8.15"] == "insufficient-evidence"


def test_hostile_text_through_every_output(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(hostile_records()))
    assert verify_pack(pack.path).ok
    page = (pack.path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page.lower()
    assert "&lt;/script&gt;" in page
    assert not {"\u202e", "\x07"} & set(page)
    assert "⟨U+202E⟩" in page
    assert "🙂 名前" in page
    for path in (pack.path / "populations").glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        assert not {"\u202e", "\x07"} & set(text), path.name
        for row in csv_rows(pack.path, path.stem):
            for cell in row.values():
                assert not re.match(r"\s*[=+\-@]", cell), (path.name, cell)
    exact = [json.loads(line) for line in (pack.path / "populations/denied_failed.jsonl").read_bytes().splitlines()]
    assert [row["service"] for row in exact] == list(HOSTILE)
    assert [row["route"] for row in csv_rows(pack.path, "denied_failed")][1] == "'" + HOSTILE[1]
    assert [row["route"] for row in csv_rows(pack.path, "denied_failed")][4] == "bell␇"


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    page = (build(tmp_path / "pack", source(ordinary_records())).path / "report.html").read_text(encoding="utf-8")
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "default-src 'none'; style-src 'sha256-" in page
    assert not re.search(
        r"<script|<iframe|<object|<img|<link|javascript:|\son[a-z]+=|\sstyle=|https?://[^<]*\.js", page
    )
    for table in re.findall(r"<table.*?</table>", page, re.S):
        assert "<caption>" in table
        assert "<th scope=" in table


def test_the_policy_names_the_style_of_the_page(tmp_path: Path) -> None:
    page = (build(tmp_path / "pack", source([])).path / "report.html").read_text(encoding="utf-8")
    style = re.search(r"<style>(.*)</style>", page, re.S)
    assert style is not None
    assert f"'sha256-{b64encode(sha256(style[1].encode()).digest()).decode()}'" in page


def test_cards_name_the_query_and_its_digest(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records()))
    for path in (pack.path / "ipe").iterdir():
        card = json.loads(path.read_bytes())
        assert card["sql_sha256"] == sha256(card["sql"].encode()).hexdigest()
        assert card["run_at"] == "2026-11-23T20:30:00+00:00"
        for file in card["files"]:
            assert file["sha256"] == sha256((pack.path / file["path"]).read_bytes()).hexdigest()
        assert set(card["logs"][0]["parameters"]) == set(re.findall(r"\$([a-z]+)", card["sql"]))
    card = json.loads((pack.path / "ipe/denied_failed.json").read_bytes())
    assert (card["logs"][0]["first_index"], card["logs"][0]["last_index"], card["rows"]) == (6, 7, 2)


def test_an_occupied_place_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "pack"
    out.mkdir()
    (out / "mine").write_text("mine")
    with pytest.raises(UsageError, match="never overwritten"):
        build(out, source([]))
    assert files_of(out) == {"mine": b"mine"}
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        build(tmp_path / "file", source([]))


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    assert verify_pack(build(tmp_path / "pack", source([])).path).ok


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reports.pack, "render_html", full)
    with pytest.raises(OSError, match="No space"):
        build(tmp_path / "pack", source(ordinary_records()))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_jinja2_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find_spec: Callable[..., Any] = lambda name, *_: None if name == "jinja2" else sys.modules[name].__spec__  # noqa: E731
    monkeypatch.setattr("reports.render.html.find_spec", find_spec)
    with pytest.raises(UnavailableError, match=r"pip install 'pxl-audit\[reports\]'"):
        build(tmp_path / "pack", source([]))
    assert list(tmp_path.iterdir()) == []
