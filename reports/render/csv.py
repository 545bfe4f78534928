"""CSV: the spreadsheet-safe rendering of a population. The JSON lines beside it are exact.

What is changed, and the card of each population says so: a cell that a spreadsheet could take for a formula gets a
leading apostrophe (CWE-1236); control characters are shown as their pictures, invisible and bidirectional ones as
U+FFFD.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reports.populations import INTEGER, Kind, Population, json_lines, literal

if TYPE_CHECKING:
    import duckdb

# A spreadsheet takes these as the beginning of a formula, also behind white space and in their full-width forms.
_FORMULA = "^[\\s\\x00]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|^[\\t\\r\\n]"
_CONTROLS = "".join(map(chr, range(1, 32)))
_PICTURES = "".join(map(chr, range(0x2401, 0x2420)))
# DEL, C1, zero-width, bidirectional controls, line and paragraph separators, byte order mark.
_INVISIBLE = "".join(
    chr(point)
    for first, last in ((0x7F, 0x9F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x2069), (0xFEFF, 0xFEFF))
    for point in range(first, last + 1)
)

TRANSFORMATION = (
    "CSV: a cell that begins like a formula has a leading apostrophe; control characters are shown as U+2401 to "
    "U+241F; invisible and bidirectional characters are shown as U+FFFD. The JSON lines are exact."
)


def write_csv(connection: duckdb.DuckDBPyConnection, population: Population, source: Path, path: Path) -> None:
    """Make the CSV of the JSON lines in `source`: same rows, same order, cells made safe for spreadsheets."""
    cells = ", ".join(_cell(name, kind) for name, kind in population.columns)
    connection.execute(
        f"COPY (SELECT {cells} FROM {json_lines(population, source)}) TO {literal(path)} (FORMAT csv, HEADER true)",  # noqa: S608
        {"from": _CONTROLS + _INVISIBLE, "to": _PICTURES + "\ufffd" * len(_INVISIBLE), "formula": _FORMULA}
        if any(kind != INTEGER for _, kind in population.columns)
        else {},
    )


def _cell(name: str, kind: Kind) -> str:
    if kind == INTEGER:
        return f'"{name}"'
    text = f'"{name}"::VARCHAR'
    # translate() costs 4 µs a cell, and hardly any cell needs it; the match costs a fortieth of that.
    visible = f"CASE WHEN regexp_matches({text}, '[^ -~]') THEN translate({text}, $from, $to) ELSE {text} END"
    return f"CASE WHEN regexp_matches({text}, $formula) THEN '''' || {visible} ELSE {visible} END AS \"{name}\""
