"""Catalogues: complete, pinned, in our own words, and saying no more than a check can reach."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from compliance.checks import CHECK_IDS, CHECKS
from compliance.controls import (
    FRAMEWORKS,
    PINNED,
    CatalogueError,
    Framework,
    load_catalogue,
    parse_catalogue,
    parse_frameworks,
)
from pxl_audit.errors import UsageError


def text_of(framework: Framework) -> str:
    return files("compliance").joinpath("catalogues", f"{framework}.toml").read_text(encoding="utf-8")


def test_soc2_has_61_criteria() -> None:
    ids = [control.id for control in load_catalogue("soc2").controls]
    assert len(ids) == len(set(ids)) == 61
    for prefix, count in (("CC", 33), ("A", 3), ("C", 2), ("PI", 5), ("P", 18)):
        assert sum(re.fullmatch(rf"{prefix}[0-9]+\.[0-9]+", one) is not None for one in ids) == count


def test_iso27001_has_93_controls_of_annex_a_and_five_clauses() -> None:
    ids = [control.id for control in load_catalogue("iso27001").controls]
    assert [one for one in ids if not one.startswith("A.")] == ["7.5", "9.1", "9.2", "9.3", "10.2"]
    annex = [one for one in ids if one.startswith("A.")]
    assert len(annex) == len(set(annex)) == 93
    for theme, count in ((5, 37), (6, 8), (7, 14), (8, 34)):
        assert sum(one.startswith(f"A.{theme}.") for one in annex) == count
    assert "A.8.28" in annex
    assert "A.12.4.1" not in annex  # an identifier of 2013


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_control_says_what_remains_with_people(framework: Framework) -> None:
    for control in load_catalogue(framework).controls:
        assert control.manual
        assert len(control.title) < 80
        assert (control.level == "manual") <= (not control.checks)


def test_every_check_serves_a_control() -> None:
    used = {check for framework in FRAMEWORKS for one in load_catalogue(framework).controls for check in one.checks}
    assert used == set(CHECK_IDS) == set(CHECKS)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "CC1.1"', 'id = "CC1.9"', "unknown identifier 'CC1.9'"),
        ('id = "CC1.2"', 'id = "CC1.1"', "'CC1.1' stands there 2 times"),
        ('level = "manual"', 'level = "total"', "level 'total'"),
        ('"log-integrity"', '"log-magic"', "log-magic"),
        ("edition = ", 'editions = "x"\nedition = ', "unknown key 'editions'"),
        ("scope = ", "# scope = ", "missing key 'scope'"),
        ("2017 trust services criteria, points of focus of 2022", "2030", "edition '2030'"),
        ('level = "direct"\nchecks = ["erasure-requests"]', 'level = "direct"', "without a check"),
        ('level = "manual"', 'level = "manual"\nchecks = ["coverage"]', "manual with checks"),
        ('framework = "soc2"', 'framework = "soc3"', "framework 'soc3'"),
        ("[[control]]", "[[control", "not TOML"),
    ],
)
def test_a_wrong_catalogue_is_refused(old: str, new: str, says: str) -> None:
    good = text_of("soc2")
    assert old in good
    with pytest.raises(CatalogueError, match=re.escape(says)):
        parse_catalogue(good.replace(old, new, 1), "soc2.toml")


def test_a_missing_control_is_refused() -> None:
    entries = text_of("gdpr").split("[[control]]")
    with pytest.raises(CatalogueError, match=r"'Art\. 35' stands there 0 times"):
        parse_catalogue("[[control]]".join(entries[:-1]), "gdpr.toml")


def test_frameworks_are_parsed_in_order_and_once() -> None:
    assert parse_frameworks("soc2, GDPR,soc2") == ("soc2", "gdpr")
    for wrong in ("", "soc1", "gdpr,,soc2"):
        with pytest.raises(UsageError, match="--framework"):
            parse_frameworks(wrong)


def test_pinned_lists_have_no_doubles() -> None:
    for _, identifiers in PINNED.values():
        assert len(identifiers) == len(set(identifiers))
