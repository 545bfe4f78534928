"""All commands of `pxl-audit`, read from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pxl_audit.cli.main import build_parser

Words = tuple[str, ...]


def parsers() -> Iterator[tuple[Words, argparse.ArgumentParser]]:
    """Every parser with the words that lead to it: the whole command, groups such as `dsr`, and their actions."""
    yield from _below((), build_parser())


def actions(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The subcommands of a parser by name; empty for one that does something itself."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def takes_data(parser: argparse.ArgumentParser) -> bool:
    """Whether it has the option `--data`."""
    return "--data" in parser._option_string_actions


def _below(words: Words, parser: argparse.ArgumentParser) -> Iterator[tuple[Words, argparse.ArgumentParser]]:
    yield words, parser
    for name, child in actions(parser).items():
        yield from _below((*words, name), child)
