"""Bad input gives one clear line on standard error and the right exit code, whatever the command; never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pxl_audit.cli.main import main
from pxl_audit.directory import FORMAT, MARKER, DataDirectory
from tests.packaging.commands import Words, actions, parsers, takes_data

CALLS: dict[Words, Words] = {
    ("agent", "run"): (),
    ("dsr", "approve"): ("dsr-1a2b3c4d", "--as", "dpo", "--plan", "0" * 64),
    ("dsr", "execute"): ("dsr-1a2b3c4d",),
    ("dsr", "list"): (),
    ("dsr", "open"): ("--subject-file", "person.txt", "--ground", "b", "--received", "2026-11-20"),
    ("dsr", "plan"): ("dsr-1a2b3c4d",),
    ("dsr", "refuse"): ("dsr-1a2b3c4d", "--reason-code", "17-3-e"),
    ("dsr", "verify"): ("dsr-1a2b3c4d",),
    ("key", "show"): (),
    ("report", "build"): ("--framework", "gdpr", "--period", "2026-Q4", "--out", "pack"),
    ("status",): (),
    ("verify",): (),
}
"""Every command that works on a data directory, with arguments that are good in themselves."""

MAKES_A_DIRECTORY = frozenset({("agent", "run")})


def _missing(root: Path) -> str:
    return "no such directory"


def _file_in_its_place(root: Path) -> str:
    root.write_text("not a directory\n")
    return ""


def _of_somebody_else(root: Path) -> str:
    root.mkdir()
    (root / "letters.txt").write_text("not ours\n")
    return f"(no {MARKER})"


def _of_a_newer_version(root: Path) -> str:
    DataDirectory.open_or_create(root)
    (root / MARKER).write_bytes(msgspec.json.encode({"format": FORMAT + 1, "log_id": "0" * 16, "new": [1]}))
    return f"format {FORMAT + 1}"


def _damaged_marker(root: Path) -> str:
    DataDirectory.open_or_create(root)
    (root / MARKER).write_bytes(b"{")
    return ""


BAD: tuple[Callable[[Path], str], ...] = (
    _missing,
    _file_in_its_place,
    _of_somebody_else,
    _of_a_newer_version,
    _damaged_marker,
)


def test_every_command_on_a_directory_is_tried_here() -> None:
    assert {words for words, parser in parsers() if takes_data(parser) and not actions(parser)} == set(CALLS)


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_a_bad_directory(
    words: Words,
    spoil: Callable[[Path], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if spoil is _missing and words in MAKES_A_DIRECTORY:
        return
    monkeypatch.chdir(tmp_path)
    (tmp_path / "person.txt").write_text("user.id=u-1\n")
    root = tmp_path / "data"
    expected = spoil(root)
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--data", str(root), *CALLS[words]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pxl-audit: error: "), err
    assert err.count("\n") == 1, err
    assert str(root) in err
    assert expected in err
    assert sorted(tmp_path.rglob("*")) == before, "a refused directory must be left as it was"


def test_an_unknown_key_in_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "pxl-audit.toml"
    config.write_text("[agent]\npublish_secondz = 1\n")
    data = str(tmp_path / "data")
    assert main(["agent", "run", "--data", data, "--config", str(config)]) == 64
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{config}: unknown key agent.publish_secondz" in err
    assert "publish_seconds" in err, "the nearest known key is named"
    monkeypatch.setenv("PXL_AUDIT_AGENT_PUBLISH_SECONDZ", "1")
    assert main(["agent", "run", "--data", data]) == 64
    assert "PXL_AUDIT_AGENT_PUBLISH_SECONDZ" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "period", ["2026-Q5", "2026-13", "2026-11-31..2026-12-15", "2026-12-01..2026-11-01", "yesterday"]
)
def test_a_period_that_does_not_exist(period: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = DataDirectory.open_or_create(tmp_path / "data").root
    call = ["report", "build", "--framework", "gdpr", "--data", str(root), "--out", str(tmp_path / "pack")]
    assert main([*call, "--period", period]) == 64
    err = capsys.readouterr().err
    assert err.startswith("pxl-audit: error: "), err
    assert err.count("\n") == 1, err
    assert period in err or all(day in err for day in period.split("..")), err
    assert not (tmp_path / "pack").exists()


def test_the_process_itself_ends_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pxl_audit.cli.main", "verify", str(tmp_path / "nowhere"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no such directory" in done.stderr
