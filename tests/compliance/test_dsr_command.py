"""`pxl-audit dsr` as a person and a script use it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from compliance.cli import dsr_actions
from compliance.cli.dsr import COMMAND
from compliance.cli.dsr_show import listed
from compliance.dsr.requests import Act, Request, now
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import AuditError
from tests.compliance.people import ALICE

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(directory: DataDirectory, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one action on a data directory; (exit code, output). Errors become their code and message, as in `main`."""
    root = directory.root

    def call(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        COMMAND.configure(parser)
        args = parser.parse_args([*words, "--data", str(root)])
        try:
            code: int = args.run(args)
        except AuditError as error:
            return error.exit_code, str(error)
        return code, capsys.readouterr().out

    return call


def _json(answer: tuple[int, str]) -> dict[str, Any]:
    assert answer[0] == 0
    data: dict[str, Any] = json.loads(answer[1])
    return data


def _open(run: Run, tmp_path: Path, lines: str) -> str:
    (tmp_path / "person").write_text(lines)
    words = (
        "open",
        "--subject-file",
        str(tmp_path / "person"),
        "--ground",
        "b",
        "--received",
        "2026-11-20",
        "--as",
        "desk",
    )
    return str(_json(run(*words, "--json"))["request"])


def test_from_open_to_verify(run: Run, tmp_path: Path) -> None:
    request = _open(run, tmp_path, ALICE)
    plan = _json(run("plan", request, "--include-control", "--json"))
    assert (plan["finding"], plan["actor_parts"], plan["target_parts"]) == ("found", 3, 4)
    code, text = run("approve", request, "--as", "desk", "--plan", plan["plan"])
    assert (code, "somebody else has to approve" in text) == (64, True)
    assert run("approve", request, "--as", "dpo", "--plan", plan["plan"])[0] == 0

    code, text = run("execute", request)
    assert (code, "Nothing was changed" in text) == (0, True)
    assert run("execute", request, "--confirm", "dsr-00000000")[0] == 64
    assert _json(run("list", "--json"))["requests"][0]["state"] == "approved"

    done = _json(run("execute", request, "--confirm", request, "--as", "desk", "--json"))
    assert (done["state"], done["residue"]["found"]) == ("completed", 0)
    code, text = run("execute", request, "--confirm", request)
    assert (code, "was completed before" in text) == (0, True)
    for words in (("verify", request), ("verify", "--all")):
        code, text = run(*words)
        assert (code, "exactly 3 actor parts and 4 target parts are gone" in text) == (0, True)
        assert text.splitlines()[-1].startswith("now: ")


def test_a_value_that_was_left_shows_in_the_exit_code(run: Run, directory: DataDirectory, tmp_path: Path) -> None:
    request = _open(run, tmp_path, ALICE)
    plan = _json(run("plan", request, "--json"))["plan"]
    run("approve", request, "--as", "dpo", "--plan", plan)
    (directory.root / "stray").write_text(ALICE)
    assert run("execute", request, "--confirm", request)[0] == 1
    code, text = run("execute", request, "--confirm", request, "--accept-residue")
    assert (code, "found: stray at 0" in text) == (1, True)
    assert run("verify", request)[0] == 1


def test_no_output_repeats_an_identifier(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = _open(run, tmp_path, f"{ALICE}\nsession.id=session-canary\n")
    said = [
        run("plan", request),
        run("list"),
        run("verify", request),
        run("refuse", request, "--reason-code", "17-3-b"),
    ]
    text = "".join(part for _, part in said) + "".join(capsys.readouterr())
    assert "canary" not in text


def test_the_subject_may_come_from_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"user.id=bob-b21\n")))
    assert (
        _json(run("open", "--subject-file", "-", "--ground", "a", "--received", "2026-11-20", "--json"))["identifiers"]
        == 1
    )


def test_an_unknown_person_is_said_to_be_unknown(run: Run, tmp_path: Path) -> None:
    code, text = run("plan", _open(run, tmp_path, "nobody-here"))
    assert code == 0
    assert "unknown: no open part names this person" in text
    assert "--accept-empty" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "dsr-00000000"), "dsr list"),
        (("verify",), "a request id or --all"),
        (("open", "--subject-file", "/none", "--ground", "a", "--received", "2026-11-20"), "No such file"),
        (("open", "--subject-file", "/dev/null", "--ground", "a", "--received", "2026-11-20"), "empty"),
        (("open", "--subject-file", "/dev/null", "--ground", "a", "--received", "20.11.2026"), "not a date"),
    ],
)
def test_wrong_usage(run: Run, words: tuple[str, ...], message: str) -> None:
    code, text = run(*words)
    assert (code, message in text) == (64, True)


def test_a_request_that_is_overdue_is_shown_first() -> None:
    def request(number: int, due: str) -> Request:
        day = date.fromisoformat(due)
        opened = Act(now(), "desk")
        return Request(
            id=f"dsr-0000000{number}", state="opened", received=day, due=day, ground="a", subject=[], opened=opened
        )

    today = request(0, "2026-12-20").due
    output = listed([request(1, "2026-12-18"), request(2, "2026-12-20")], today)
    assert "-2 OVERDUE" in output.lines[1]
    assert output.lines[2].endswith("0")
    assert output.lines[-1].startswith("1 overdue; now:")


@pytest.mark.parametrize("action", dsr_actions.ACTIONS)
def test_every_action_explains_itself_with_examples(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([action, "--help"])
    text = capsys.readouterr().out
    assert f"examples:\n  pxl-audit dsr {action}" in text
    assert "--json" in text
