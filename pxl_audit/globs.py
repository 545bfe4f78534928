"""Globs over paths and route templates: `*` is any text within a segment, `**` any segments, else the text itself.

`/v1/**` fits `/v1/` and all below it; `/v1/**/keys` fits `/v1/keys` too; braces of templates have no other meaning.
Matching takes time linear in the path, whatever the glob: within a segment each star takes the nearest fit (in an
atomic group, as `fnmatch` does since Python 3.12), and there is one `**` at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Matcher = Callable[[str], object]
"""Truthy when a text fits."""

_ANY_DEPTH = "**"
# One step through a glob: a character, `*` (any run without a slash) or `**` (any run).
_Steps = tuple[str, ...]
_OTHER = "\0"


def glob_problem(glob: str) -> str | None:
    """What is wrong with a glob, or None."""
    segments = glob.split("/")
    if glob != _ANY_DEPTH and not glob.startswith("/"):
        return "expected it to begin with /, such as /v1/**"
    if segments.count(_ANY_DEPTH) > 1:
        return "expected ** once at most"
    if any(_ANY_DEPTH in segment and segment != _ANY_DEPTH for segment in segments):
        return "expected ** to be a whole segment; * is any text within one"
    return None


def matcher(globs: Sequence[str], *, plain_only: bool = False) -> Matcher:
    """Whether a text fits one of the globs. `plain_only`: texts with `.` or `..` segments never fit."""
    if not plain_only and not any("*" in glob for glob in globs):
        return frozenset(globs).__contains__
    dots = r"(?!(?:.*[/\\])?\.{1,2}(?:[/\\;]|\Z))" if plain_only else ""
    return re.compile(rf"{dots}(?:{'|'.join(map(_regex, globs))})\Z", re.DOTALL).match


def _regex(glob: str) -> str:
    before, deep, after = glob.partition(_ANY_DEPTH)
    if not deep:
        return "/".join(map(_segment_regex, glob.split("/")))
    head = "/".join(map(_segment_regex, before.split("/")))
    # `**/` may stand for nothing at all.
    return f"{head}(?:.*/)?" + "/".join(map(_segment_regex, after[1:].split("/"))) if after else f"{head}.*"


def _segment_regex(segment: str) -> str:
    first, *rest = segment.split("*")
    if not rest:
        return re.escape(first)
    *middle, last = rest
    nearest = "".join(f"(?>[^/]*?{re.escape(text)})" for text in middle if text)
    return re.escape(first) + nearest + "[^/]*" + re.escape(last)


def covers(outer: Sequence[str], inner: Sequence[str]) -> bool:
    """Whether every text that fits one of `inner` fits one of `outer`; no globs at all means every text.

    Walks both at once, as automata, over the characters that occur in them and one that does not.
    """
    if not outer:
        return True
    wide = [steps for glob in outer for steps in _expansions(glob)]
    narrow = [steps for glob in inner or (_ANY_DEPTH,) for steps in _expansions(glob)]
    alphabet = {"/", _OTHER, *(step for steps in (*wide, *narrow) for step in steps if len(step) == 1 and step != "*")}
    start = (_closure(narrow, {(i, 0) for i in range(len(narrow))}), _closure(wide, {(i, 0) for i in range(len(wide))}))
    seen, waiting = {start}, [start]
    while waiting:
        mine, theirs = waiting.pop()
        if _accepts(narrow, mine) and not _accepts(wide, theirs):
            return False
        for character in alphabet:
            after = (_advance(narrow, mine, character), _advance(wide, theirs, character))
            if after[0] and after not in seen:
                seen.add(after)
                waiting.append(after)
    return True


_States = frozenset[tuple[int, int]]


def _expansions(glob: str) -> list[_Steps]:
    """A glob as steps; a `**/` that may stand for nothing gives two."""
    before, deep, after = glob.partition(_ANY_DEPTH)
    if not deep:
        return [tuple(glob)]
    whole = (*before, _ANY_DEPTH, *after)
    return [whole, (*before, *after[1:])] if after else [whole]


def _closure(globs: Sequence[_Steps], states: set[tuple[int, int]]) -> _States:
    waiting = list(states)
    while waiting:
        which, at = waiting.pop()
        following = (which, at + 1)
        if at < len(globs[which]) and globs[which][at] in ("*", _ANY_DEPTH) and following not in states:
            states.add(following)
            waiting.append(following)
    return frozenset(states)


def _advance(globs: Sequence[_Steps], states: _States, character: str) -> _States:
    after: set[tuple[int, int]] = set()
    for which, at in states:
        step = globs[which][at] if at < len(globs[which]) else ""
        if step == _ANY_DEPTH or (step == "*" and character != "/"):
            after.add((which, at))
        elif step == character and step != "*":
            after.add((which, at + 1))
    return _closure(globs, after)


def _accepts(globs: Sequence[_Steps], states: _States) -> bool:
    return any(at == len(globs[which]) for which, at in states)
