"""Control catalogues: identifiers, our own titles, what a check can say about each, and what stays with people.

The catalogues are data (`catalogues/*.toml`); the lists of identifiers are pinned here a second time, so that a control
can neither be forgotten nor invented. The texts of the standards are copyrighted and stand nowhere.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

from compliance.checks import CHECK_IDS, CheckId
from pxl_audit.errors import UsageError

Framework = Literal["gdpr", "soc2", "iso27001", "sox"]
FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)
Level = Literal["direct", "partial", "supporting", "manual"]
LEVELS: tuple[Level, ...] = get_args(Level)

LEVEL_MEANING: dict[Level, str] = {
    "direct": "the population is in the log and all of it is tested",
    "partial": "one side of the control is tested; the other is elsewhere",
    "supporting": "the log gives context; the control itself is not tested",
    "manual": "nothing in the log; evidence comes from people",
}


def _numbered(prefix: str, count: int, start: int = 1) -> list[str]:
    return [f"{prefix}{number}" for number in range(start, start + count)]


def _soc2() -> list[str]:
    # 33 common criteria, 3 availability, 2 confidentiality, 5 processing integrity, 18 privacy: 61.
    common = {1: 5, 2: 3, 3: 4, 4: 2, 5: 3, 6: 8, 7: 5, 8: 1, 9: 2}
    privacy = {1: 1, 2: 1, 3: 2, 4: 3, 5: 2, 6: 7, 7: 1, 8: 1}
    return [
        *(identifier for series, count in common.items() for identifier in _numbered(f"CC{series}.", count)),
        *_numbered("A1.", 3),
        *_numbered("C1.", 2),
        *_numbered("PI1.", 5),
        *(identifier for series, count in privacy.items() for identifier in _numbered(f"P{series}.", count)),
    ]


def _iso27001() -> list[str]:
    # Five clauses, then Annex A: 37 organisational, 8 people, 14 physical, 34 technological: 93.
    annex = {5: 37, 6: 8, 7: 14, 8: 34}
    return [
        *("7.5", "9.1", "9.2", "9.3", "10.2"),
        *(identifier for theme, count in annex.items() for identifier in _numbered(f"A.{theme}.", count)),
    ]


PINNED: dict[Framework, tuple[str, tuple[str, ...]]] = {
    "soc2": ("2017 trust services criteria, points of focus of 2022", tuple(_soc2())),
    "iso27001": ("2022", tuple(_iso27001())),
    "gdpr": (
        "Regulation (EU) 2016/679",
        tuple(f"Art. {number}" for number in (5, 12, 15, 16, 17, 18, 19, 20, 25, 28, 30, 32, 33, 34, 35)),
    ),
    "sox": (
        "pxl-audit list 1",
        (*_numbered("AC-", 6), *_numbered("CH-", 2), *_numbered("OP-", 3), "IPE-1"),
    ),
}
"""Framework -> (edition, identifiers in order)."""


class CatalogueError(UsageError):
    """A catalogue is not what its edition demands."""


@dataclass(frozen=True)
class Control:
    """One control, criterion or article."""

    id: str
    title: str
    level: Level
    checks: tuple[CheckId, ...]
    manual: str
    """What no check can say and people have to show."""


@dataclass(frozen=True)
class Catalogue:
    """All controls of one framework in one edition."""

    framework: Framework
    name: str
    edition: str
    scope: str
    controls: tuple[Control, ...]


def parse_frameworks(text: str) -> tuple[Framework, ...]:
    """`gdpr,soc2` as frameworks, in the given order, each once.

    Raises:
        UsageError: a name is unknown, or there is none.
    """
    chosen: list[Framework] = []
    for word in (part.strip().lower() for part in text.split(",")):
        known = next((framework for framework in FRAMEWORKS if framework == word), None)
        if known is None:
            raise UsageError(f"--framework {word!r}: unknown; choose from {', '.join(FRAMEWORKS)}, joined by commas")
        if known not in chosen:
            chosen.append(known)
    return tuple(chosen)


def load_catalogue(framework: Framework) -> Catalogue:
    """The catalogue that ships with this version."""
    source = files("compliance").joinpath("catalogues", f"{framework}.toml")
    return parse_catalogue(source.read_text(encoding="utf-8"), f"catalogues/{framework}.toml")


def parse_catalogue(text: str, where: str) -> Catalogue:
    """Parse and validate a catalogue; `where` names it in messages.

    Raises:
        CatalogueError: it is no TOML, or anything in it is unknown, missing, doubled or says too much.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{where}: not TOML: {error}") from None
    _check_keys(raw, {"framework", "name", "edition", "scope", "control"}, where)
    framework = next((known for known in FRAMEWORKS if known == raw["framework"]), None)
    if framework is None:
        raise CatalogueError(f"{where}: framework {raw['framework']!r}: expected one of {', '.join(FRAMEWORKS)}")
    edition, identifiers = PINNED[framework]
    if raw["edition"] != edition:
        raise CatalogueError(f"{where}: edition {raw['edition']!r}: this version knows {edition!r} only")
    controls = tuple(_control(entry, where) for entry in raw["control"])
    _check_identifiers([control.id for control in controls], identifiers, where)
    return Catalogue(framework, str(raw["name"]), edition, str(raw["scope"]), controls)


def _control(entry: dict[str, object], where: str) -> Control:
    place = f"{where}: control {entry.get('id')!r}"
    _check_keys({"checks": [], **entry}, {"id", "title", "level", "checks", "manual"}, place)
    level = next((known for known in LEVELS if known == entry["level"]), None)
    if level is None:
        raise CatalogueError(f"{place}: level {entry['level']!r}: expected one of {', '.join(LEVELS)}")
    named = entry.get("checks", [])
    words = named if isinstance(named, list) else [named]
    checks = tuple(check for word in words for check in CHECK_IDS if check == word)
    if len(checks) != len(words) or len(set(checks)) != len(checks):
        raise CatalogueError(f"{place}: checks {words!r}: expected each at most once, from {', '.join(CHECK_IDS)}")
    if level in ("direct", "partial") and not checks:
        raise CatalogueError(f"{place}: level {level} without a check; else it is supporting or manual")
    if level == "manual" and checks:
        raise CatalogueError(f"{place}: level manual with checks; name the level that they reach")
    title, manual = str(entry["title"]).strip(), str(entry["manual"]).strip()
    if not title or not manual:
        raise CatalogueError(f"{place}: title and manual must say something")
    return Control(str(entry["id"]), title, level, checks, manual)


def _check_keys(given: dict[str, object], expected: set[str], where: str) -> None:
    for key in sorted(given.keys() ^ expected):
        raise CatalogueError(f"{where}: {'unknown key' if key in given else 'missing key'} {key!r}")


def _check_identifiers(given: list[str], pinned: tuple[str, ...], where: str) -> None:
    for identifier in given:
        if identifier not in pinned:
            raise CatalogueError(f"{where}: unknown identifier {identifier!r}")
    for identifier in pinned:
        if given.count(identifier) != 1:
            raise CatalogueError(f"{where}: identifier {identifier!r} stands there {given.count(identifier)} times")
    if tuple(given) != pinned:
        raise CatalogueError(f"{where}: identifiers are not in the order of the framework")
