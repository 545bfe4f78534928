"""Budgets on the shape of the code: small files, functions that fit a screen, names that say something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.tree import PACKAGES, name_of, parsed, python_files

pytestmark = pytest.mark.slow

FILE_LINES = 400
TEST_FILE_LINES = 600
BODY_LINES = 60
NESTING = 5
SAYS_NOTHING = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "stuff", "base_utils"})

Function = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


def _everything() -> Iterator[Path]:
    yield from python_files(*PACKAGES, "examples", "tests")


def _functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _body_lines(function: Function) -> int:
    """Lines of the body without the docstring."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _nesting(node: ast.AST) -> int:
    """How many blocks deep the deepest statement stands below `node`; `elif` is no deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        elif_ = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        own = 1 if isinstance(child, _BLOCKS) and not elif_ else 0
        deepest = max(deepest, own + _nesting(child))
    return deepest


def test_files_are_small() -> None:
    too_long = []
    for path in _everything():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = TEST_FILE_LINES if name_of(path).startswith("tests/") else FILE_LINES
        if lines > limit:
            too_long.append(f"{name_of(path)}: {lines} lines, at most {limit}: it holds more than one idea")
    assert too_long == []


def test_functions_fit_a_screen() -> None:
    too_long = [
        f"{name_of(path)}:{function.lineno}: {function.name}: {_body_lines(function)} lines, at most {BODY_LINES}"
        for path in _everything()
        for function in _functions(parsed(path))
        if _body_lines(function) > BODY_LINES
    ]
    assert too_long == []


def test_nesting_is_shallow() -> None:
    too_deep = [
        f"{name_of(path)}:{function.lineno}: {function.name}: {_nesting(function)} blocks deep, at most {NESTING}"
        for path in _everything()
        for function in _functions(parsed(path))
        if _nesting(function) > NESTING
    ]
    assert too_deep == []


def test_module_names_say_what_is_inside() -> None:
    empty = [
        name_of(path)
        for path in _everything()
        if path.stem in SAYS_NOTHING or path.stem.endswith(("_utils", "_helpers")) or path.parent.name in SAYS_NOTHING
    ]
    assert empty == []


def test_no_error_is_swallowed() -> None:
    swallowed = [
        f"{name_of(path)}:{node.lineno}"
        for path in _everything()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and _swallows(node)
    ]
    assert swallowed == []


def _swallows(handler: ast.ExceptHandler) -> bool:
    """`except:` in any form, and `except Exception` or wider with nothing done about it."""
    if handler.type is None:
        return True
    wide = isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}
    return (
        wide
        and all(isinstance(statement, (ast.Pass, ast.Continue, ast.Expr)) for statement in handler.body)
        and not any(isinstance(node, ast.Call) for statement in handler.body for node in ast.walk(statement))
    )


def test_every_module_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in python_files(*PACKAGES, "examples")
        if parsed(path).body and ast.get_docstring(parsed(path)) is None
    ]
    assert silent == []
