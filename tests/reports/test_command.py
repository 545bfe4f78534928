"""`pxl-audit report` on a real data directory: middleware, agent, log, vault, verifier, pack."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pxl_audit.cli.main import main
from pxl_audit.directory import DataDirectory
from pxl_audit.log.keys import load_vkey
from pxl_audit.vault.query import rows
from tests.builders import fill
from tests.reports.packs import build, files_of, ordinary_records, source

pytestmark = pytest.mark.slow

THIS_MONTH = f"{datetime.now(UTC):%Y-%m}"


def build_words(out: Path, *data: DataDirectory, period: str = THIS_MONTH) -> list[str]:
    places = [word for directory in data for word in ("--data", str(directory.root))]
    return ["report", "build", "--framework", "gdpr,soc2,iso27001,sox", "--period", period, *places, "--out", str(out)]


def test_build_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = fill(tmp_path / "one", 30), fill(tmp_path / "two", 5)
    out = tmp_path / "pack"
    assert main([*build_words(out, first, second), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["summary"]["exchanges"] == 35
    assert {one["state"] for one in said["checks"] if one["check"] == "log-integrity"} == {"tested-no-exception"}

    # The log says that a report was built, and which.
    *_, last = rows(first, 0, 1 << 40)
    assert (last.index, last.event, last.retention) == (said["recorded_at"], "report.built", "control")
    assert last.facts == {"period": THIS_MONTH, "pack": said["manifest_sha256"]}

    assert main(["report", "verify", str(out)]) == 0
    assert "the key that came with the pack" in capsys.readouterr().out
    assert main(["report", "verify", str(out), "--key", load_vkey(first), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key_is_own"] is False
    assert main(["report", "verify", str(out), "--key", load_vkey(second)]) == 1
    assert "manifest.note" in capsys.readouterr().out

    for name, content in files_of(out).items():
        for canary in (b"user-3", b"192.0.2.7", b"test/1", str(tmp_path).encode()):
            assert canary not in content, name


def test_populations_are_in_the_order_of_the_log(tmp_path: Path) -> None:
    directory = fill(tmp_path / "one", 300)
    assert main(build_words(tmp_path / "pack", directory)) == 0
    lines = (tmp_path / "pack/populations/control_events.jsonl").read_text().splitlines()
    indexes = [json.loads(line)["index"] for line in lines]
    assert indexes == sorted(indexes)


def test_a_tampered_log_is_an_exception_and_carries_nothing(tmp_path: Path) -> None:
    directory = fill(tmp_path / "one", 30)
    assert main(build_words(tmp_path / "before", directory)) == 0
    entries = next((directory.log / "tile/entries").rglob("[0-9]*"))
    entries = entries if entries.is_file() else next(path for path in entries.rglob("*") if path.is_file())
    content = bytearray(entries.read_bytes())
    content[100] ^= 1
    entries.write_bytes(content)
    assert main(build_words(tmp_path / "after", directory)) == 0
    model = json.loads((tmp_path / "after/model.json").read_bytes())
    state = {check["check"]: check["state"] for check in model["checks"]}
    assert state["log-integrity"] == "tested-with-exception"
    assert state["server-errors"] == "insufficient-evidence"
    assert any(fault["file"].startswith("log/") for fault in model["logs"][0]["faults"])
    assert main(["report", "verify", str(tmp_path / "after")]) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--period": "2026-Q5"}, "no quarter 5"),
        ({"--period": "soon"}, "expected 2026-Q4"),
        ({"--framework": "soc7"}, "'soc7': unknown"),
    ],
)
def test_wrong_words(
    data: DataDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], says: str
) -> None:
    words = build_words(tmp_path / "pack", data)
    for option, value in change.items():
        words[words.index(option) + 1] = value
    assert main(words) == 64
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "pack").exists()


def test_a_directory_named_twice_and_one_that_is_none(
    data: DataDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(build_words(tmp_path / "pack", data, data)) == 64
    assert "named twice" in capsys.readouterr().err
    nowhere = DataDirectory(tmp_path / "nowhere", "0" * 16)
    assert main(build_words(tmp_path / "pack", nowhere)) == 2
    assert "no such directory" in capsys.readouterr().err


def test_what_is_wrong_is_named_with_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records())).path
    (pack / "populations/gaps.csv").write_bytes(b"")
    assert main(["report", "verify", str(pack)]) == 1
    out = capsys.readouterr().out
    assert re.search(r"BAD\s+populations/gaps\.csv has 0 bytes", out)
    assert "do not rely on" in out
    assert main(["report", "verify", str(tmp_path)]) == 2


def test_verifying_needs_neither_database_nor_templates(tmp_path: Path) -> None:
    pack = build(tmp_path / "pack", source(ordinary_records())).path
    code = (
        "import sys\n"
        "for name in ('compliance', 'duckdb', 'jinja2', 'elasticsearch', 'opentelemetry', 'starlette'):\n"
        "    sys.modules[name] = None\n"
        "from reports.verify import verify_pack; from pathlib import Path\n"
        "sys.exit(0 if verify_pack(Path(sys.argv[1])).ok else 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(pack)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["report"], ["report", "build"], ["report", "verify"]])
def test_help_has_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    assert "examples:\n  pxl-audit report" in capsys.readouterr().out
