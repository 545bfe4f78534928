"""`pxl-audit verify`: exit codes, text, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pxl_audit.cli.main import main
from pxl_audit.cli.verify import _MEANINGS
from tests.verify import build


def test_good(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(good)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"GOOD: {good}\n")
    assert out.endswith((good / "log/checkpoint").read_text())
    assert "event 250: 3 actor and 1 target parts destroyed, as announced" in out
    assert "event 260: 1 actor and 0 target parts destroyed, announced, not completed yet" in out
    assert err == ""


def test_data_option(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--data", str(good), "--key", build.vkey()]) == 0
    assert main(["verify", str(good), "--checkpoint", str(good / "log/checkpoint")]) == 0
    capsys.readouterr()


def test_bad(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "log/tile/0/000").unlink()
    assert main(["verify", str(root)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FOUND BAD")
    assert "log-file-missing: log/tile/0/000, record 0\n" in out
    assert "a file of the log is gone" in out
    assert out.rstrip().endswith("restore only what they prove.")


def test_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "log/tile/0/000").unlink()
    assert main(["verify", str(root), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["size"], report["findings_total"]) == (False, 300, 1)
    assert report["findings"][0] | {"expected": "", "found": ""} == {
        "kind": "log-file-missing",
        "file": "log/tile/0/000",
        "index": 0,
        "expected": "",
        "found": "",
    }


def test_cannot_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "not a data directory" in capsys.readouterr().err
    sample = build.small(5)
    sample.records[3].members["v"] = 2
    assert main(["verify", str(sample.write(tmp_path / "data"))]) == 2
    assert "COULD NOT JUDGE" in capsys.readouterr().out


def test_usage(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(good), "--checkpoint", str(tmp_path / "none")]) == 64
    with pytest.raises(SystemExit, match="64"):
        main(["verify", "--unknown"])
    capsys.readouterr()


def test_meanings_are_of_findings_that_exist() -> None:
    package = Path(__file__).parents[2] / "pxl_audit/verify"
    source = "".join(path.read_text() for path in package.glob("*.py"))
    assert [kind for kind in _MEANINGS if f'"{kind}"' not in source] == []
