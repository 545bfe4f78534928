"""Every command explains itself, with examples that its own parser takes, and tells wrong usage by exit code 64."""

from __future__ import annotations

import shlex

import pytest

from pxl_audit.cli.command import EXIT_USAGE
from pxl_audit.cli.main import build_parser, main
from tests.packaging.commands import Words, actions, parsers

COMMANDS = {"agent", "demo", "dsr", "key", "report", "status", "verify"}


def _ends_with(words: Words) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def test_all_commands_are_there() -> None:
    assert set(actions(build_parser())) >= COMMANDS


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for words, _ in parsers():
        called = " ".join(("pxl-audit", *words))
        assert _ends_with((*words, "--help")) == 0, called
        out, err = capsys.readouterr()
        assert out.startswith(f"usage: {called}"), called
        assert "\nexamples:\n" in out, f"{called} --help has no examples"
        assert called in out.partition("\nexamples:\n")[2], f"{called} --help: no example calls it"
        assert err == "", called


def test_the_examples_are_right() -> None:
    for words, parser in parsers():
        _, _, lines = (parser.epilog or "").partition("examples:\n")
        for line in filter(None, lines.splitlines()):
            _parse_example(line, " ".join(("pxl-audit", *words)))


def _parse_example(line: str, whose: str) -> None:
    """Each example is a line of shell; the part that calls `pxl-audit` must be taken by the parser."""
    parts = [part for part in line.split("|") if "pxl-audit" in part]
    assert parts, f"{whose}: an example without pxl-audit: {line}"
    for part in parts:
        called = shlex.split(part, comments=True)
        arguments = called[called.index("pxl-audit") + 1 :]
        if "--help" in arguments:
            continue
        try:
            build_parser(arguments).parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{whose}: this example is refused: {line.strip()}")


def test_wrong_usage_ends_with_64(capsys: pytest.CaptureFixture[str]) -> None:
    for words, parser in parsers():
        called = " ".join(("pxl-audit", *words))
        assert _ends_with((*words, "--no-such-option")) == EXIT_USAGE, called
        assert "Traceback" not in capsys.readouterr().err
        if actions(parser):
            assert _ends_with((*words, "no-such-command")) == EXIT_USAGE, called
            assert _ends_with(words) == EXIT_USAGE, called
            capsys.readouterr()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _ends_with(("--version",)) == 0
    assert capsys.readouterr().out.startswith("pxl-audit 0.")
