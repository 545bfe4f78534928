"""Whatever is done to vault/ is found, and found where it was done."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import pytest

from pxl_audit.verify import verify_directory
from tests.verify import build
from tests.verify.test_log_tampering import places

pytestmark = pytest.mark.slow

FIRST = "vault/sealed/000000000000-000000000100.parquet"
SECOND = "vault/sealed/000000000100-000000000280.parquet"
OPEN = "vault/open/000000000280.jsonl"


def missing(root: Path) -> dict[str, int]:
    return {part: counts["missing"] for part, counts in verify_directory(root).openings.items()}


@pytest.mark.parametrize(("name", "index", "count"), [(FIRST, 0, 100), (SECOND, 100, 180), (OPEN, 280, 20)])
def test_missing_vault_file(root: Path, name: str, index: int, count: int) -> None:
    (root / name).unlink()
    found = places(verify_directory(root))
    assert ("vault-row-missing", "vault/", index) in found
    assert missing(root) == {"actor": count, "target": count}


def test_whole_vault_missing(root: Path) -> None:
    shutil.rmtree(root / "vault")
    assert ("vault-row-missing", "vault/", 0) in places(verify_directory(root))
    assert missing(root) == {"actor": 300, "target": 300}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM rows WHERE index <> 41", ("vault-row-missing", 41)),
        ("SELECT * FROM rows WHERE index < 98", ("vault-row-missing", 98)),
        ("SELECT * FROM rows WHERE index > 0", ("vault-row-missing", 0)),
        ("SELECT * FROM rows WHERE false", ("vault-row-missing", 0)),
        ("SELECT * FROM rows UNION ALL SELECT * FROM rows WHERE index = 41 ORDER BY index", ("vault-row-order", 41)),
        ("SELECT * FROM rows ORDER BY index DESC", ("vault-row-order", 98)),
        (
            "SELECT * REPLACE (if(index = 41, 42, if(index = 42, 41, index)) AS index) FROM rows",
            ("vault-row-order", 41),
        ),
        ("SELECT * REPLACE (if(index = 41, NULL, index) AS index) FROM rows", ("vault-row-order", None)),
        ("SELECT * REPLACE (if(index = 99, 100, index) AS index) FROM rows", ("vault-row-order", None)),
        ("SELECT * REPLACE (if(index = 41, -1, index) AS index) FROM rows", ("vault-row-order", -1)),
    ],
)
def test_rows(root: Path, query: str, expected: tuple[str, int | None]) -> None:
    build.rewrite_sealed(root / FIRST, query)
    assert (expected[0], FIRST, expected[1]) in places(verify_directory(root))


def set_column(root: Path, column: str, value: str, index: int = 41) -> None:
    build.rewrite_sealed(
        root / FIRST, f"SELECT * REPLACE (if(index = {index}, {value}, {column}) AS {column}) FROM rows"
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "404"),
        ("status", "NULL"),
        ("service", "'x'"),
        ("event", "'x.y'"),
        ("event", "NULL"),
        ("method", "NULL"),
        ("route", "'/other'"),
        ("route", r"'\\'"),
        ("outcome", "'failure'"),
        ("outcome", "NULL"),
        ("ending", "'cancelled'"),
        ("actor_kind", "'user'"),
        ("retention", "'control'"),
        ("error_type", "'E'"),
        ("duration_us", "1"),
        ("first_byte_us", "0"),
        ("application_us", "7"),
        ("request_bytes", "1"),
        ("response_bytes", "NULL"),
        ("facts", "'{}'"),
        ("facts", """'{"a":1},"g":"x"'"""),
        ("time", "TIMESTAMP '2020-01-01'"),
        ("time", "NULL"),
        ("time", "time + INTERVAL 1 MICROSECOND"),
        ("outcome", '\'success","r":"x\''),
    ],
)
def test_skeleton_column(root: Path, column: str, value: str) -> None:
    set_column(root, column, value)
    assert places(verify_directory(root)) == {("vault-column", FIRST, 41)}


def test_facts_cannot_smuggle_members(root: Path, tmp_path: Path) -> None:
    """`facts` is spliced into what is compared with the leaf: text behind the object would pass for other columns."""
    sample = build.small(4)
    sample.records[2].members |= {"f": {"x": 1}, "g": "ValueError"}
    sample.sealed, sample.open_first = [(0, 4)], 4
    root = sample.write(tmp_path / "other")
    assert verify_directory(root).ok
    path = root / "vault/sealed/000000000000-000000000004.parquet"
    smuggled = (
        """if(index = 2, '{"x":1},"g":"ValueError"', facts) AS facts, if(index = 2, NULL, error_type) AS error_type"""
    )
    build.rewrite_sealed(path, f"SELECT * REPLACE ({smuggled}) FROM rows")
    assert places(verify_directory(root)) == {("vault-column", "vault/sealed/000000000000-000000000004.parquet", 2)}


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("actor", "replace(actor, 'user-6', 'user-5')", "opening-mismatch"),
        ("actor", "actor || ' '", "opening-mismatch"),
        ("target", "'{}'", "opening-mismatch"),
        ("target", "NULL", "vault-state"),
        ("actor_salt", "from_hex(repeat('00', 32))", "opening-mismatch"),
        ("actor_salt", "from_hex('00')", "vault-state"),
        ("actor_salt", "NULL", "vault-state"),
        ("actor_state", "NULL", "vault-state"),
        ("actor_state", "'gone'", "vault-state"),
        ("actor_state", "'erased'", "vault-state"),
        ("actor_state", "'absent'", "vault-state"),
        ("target_state", "'withheld'", "vault-state"),
        ("target_by", "250", "vault-state"),
        ("user_id", "'user-5'", "vault-person"),
        ("user_id", "NULL", "vault-person"),
        ("client_address", "'192.0.2.1'", "vault-person"),
    ],
)
def test_opening_column(root: Path, column: str, value: str, kind: str) -> None:
    set_column(root, column, value)
    assert (kind, FIRST, 41) in places(verify_directory(root))


def destroy(root: Path, state: str, by: str, index: int = 41) -> None:
    changes = ", ".join(
        f"if(index = {index}, {value}, {column}) AS {column}"
        for column, value in (
            ("actor", "NULL"),
            ("actor_salt", "NULL"),
            ("actor_state", f"'{state}'"),
            ("actor_by", by),
            ("user_id", "NULL"),
            ("client_address", "NULL"),
        )
    )
    build.rewrite_sealed(root / FIRST, f"SELECT * REPLACE ({changes}) FROM rows")


@pytest.mark.parametrize(
    ("state", "by"),
    [
        ("absent", "NULL"),  # http.request always has its parts
        ("erased", "5"),  # an event, but another one
        ("erased", "251"),  # the completion is not the announcement
        ("erased", "252"),  # an expiry
        ("erased", "300"),  # beyond the log
        ("erased", "-1"),
        ("expired", "250"),  # an erasure
        ("expired", "0"),
    ],
)
def test_opening_removed_without_explanation(root: Path, state: str, by: str) -> None:
    destroy(root, state, by)
    assert places(verify_directory(root)) == {("opening-missing", FIRST, 41)}
    assert missing(root) == {"actor": 1, "target": 0}


def test_opening_removed_under_a_real_erasure(root: Path) -> None:
    destroy(root, "erased", "250")
    assert places(verify_directory(root)) == {("erasure-set", "vault/", 250), ("destroyed-extra", FIRST, 41)}


def test_opening_removed_under_a_pending_erasure(root: Path) -> None:
    """Fewer than announced may be gone, but the ledger says which."""
    destroy(root, "erased", "260")
    assert places(verify_directory(root)) == {("destroyed-extra", FIRST, 41)}


def test_opening_removed_under_an_expiry(root: Path) -> None:
    destroy(root, "expired", "252")
    assert places(verify_directory(root)) == {("erasure-set", "vault/", 252)}


def test_overlap(root: Path) -> None:
    build.write_sealed(root / "vault/sealed/000000000090-000000000100.parquet", 90, build.large().records[90:100])
    assert places(verify_directory(root)) == {("vault-overlap", "vault/sealed/000000000090-000000000100.parquet", 90)}


def test_open_file_that_keeps_what_was_destroyed(root: Path) -> None:
    sample = build.large()
    build.write_open(root / "vault/open/000000000000.jsonl", 0, sample.records[:100])
    found = places(verify_directory(root))
    name = "vault/open/000000000000.jsonl"
    # 20 is withheld: it is not destroyed, but its opening lies elsewhere and must not be here either.
    assert found == {("leftover-opening", name, index) for index in (3, 7, 10, 11, 20, 30)}


def test_sealed_beyond_the_log(root: Path) -> None:
    (root / OPEN).unlink()
    build.write_sealed(root / "vault/sealed/000000000280-000000000310.parquet", 280, build.large().records[280:])
    name = "vault/sealed/000000000280-000000000310.parquet"
    assert places(verify_directory(root)) == {("beyond-checkpoint", name, 300)}


@pytest.mark.parametrize(
    "name", ["x", "open/x.jsonl", "sealed/1-2.parquet", "sealed/.y.parquet.tmp", "open/deep/000000000000.jsonl"]
)
def test_stray_vault_file(root: Path, name: str) -> None:
    build.put(root / "vault" / name, b"")
    assert {place[0] for place in places(verify_directory(root))} == {"stray-file"}


@pytest.mark.parametrize("cut", [0, 3, 100, -1, -9])
def test_truncated_sealed_file(root: Path, cut: int) -> None:
    path = root / SECOND
    path.write_bytes(path.read_bytes()[:cut])
    assert {("vault-unreadable", SECOND, 100), ("vault-row-missing", SECOND, 100)} <= places(verify_directory(root))


def test_bits_of_a_sealed_file(tmp_path: Path) -> None:
    """A flipped bit is found, or it changed none of the values (Parquet has room for names and statistics)."""
    sample = build.small(20)
    sample.sealed, sample.open_first = [(0, 20)], 20
    root = sample.write(tmp_path / "data")
    path = root / "vault/sealed/000000000000-000000000020.parquet"
    data = path.read_bytes()
    before = rows_of(path)
    found = 0
    for position in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :])
        if verify_directory(root).ok:
            assert rows_of(path) == before, position
        else:
            found += 1
    assert found > 8


def test_statistics_are_not_believed(root: Path) -> None:
    """A value changed in its page while the footer goes on saying that all events are `http.request`."""
    path = root / FIRST
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM read_parquet('{path}') WHERE event = 'http.request'")
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet, COMPRESSION uncompressed)")
    without = places(verify_directory(root))
    path.write_bytes(path.read_bytes().replace(b"http.request", b"http.rEquest", 1))
    assert places(verify_directory(root)) - without >= {("vault-column", FIRST, 1)}


def rows_of(path: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(":memory:") as connection:
        return connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchall()


@pytest.mark.parametrize(
    "projection",
    ["* EXCLUDE facts", "*, 1 AS more", "* REPLACE (index::INTEGER AS index)", "* REPLACE (time::VARCHAR AS time)"],
)
def test_schema(root: Path, projection: str) -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM read_parquet('{root / FIRST}')")
        connection.execute(f"COPY (SELECT {projection} FROM rows) TO '{root / FIRST}' (FORMAT parquet)")
    assert ("vault-schema", FIRST, None) in places(verify_directory(root))


def test_every_byte_of_an_open_file(tmp_path: Path) -> None:
    """Everything is covered: the header by what must stand there, all else by the checksum."""
    root = build.small(5).write(tmp_path / "data")
    path = root / "vault/open/000000000000.jsonl"
    data = path.read_bytes()
    cursors = {i for match in re.finditer(rb'"cursors":\{[^}]*', data) for i in range(*match.span())}
    checksums = {i for match in re.finditer(rb'"crc":\d+', data) for i in range(*match.span())}
    for position in sorted({*range(0, len(data), 5), *checksums, *cursors}):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert verify_directory(root).findings, position


def test_damage_before_a_valid_batch(root: Path) -> None:
    """A torn tail is the last thing in a file. This one has valid batches behind it."""
    path = root / OPEN
    path.write_bytes(path.read_bytes().replace(b'"index":289', b'"index":288'))
    assert {("open-vault", OPEN, 288), ("vault-row-missing", OPEN, 288)} <= places(verify_directory(root))


def test_open_row_with_another_leaf(tmp_path: Path) -> None:
    sample = build.small(5)
    root = sample.write(tmp_path / "data")
    sample.records[2].members["c"] = 500
    sample.records[3].actor.text = b'{"user.id":"x"}'
    build.write_open(root / "vault/open/000000000000.jsonl", 0, sample.records)
    found = places(verify_directory(root))
    name = "vault/open/000000000000.jsonl"
    assert {("vault-leaf", name, 2), ("vault-leaf", name, 3), ("opening-mismatch", name, 3)} == found


@pytest.mark.parametrize(
    "text",
    [
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":"\\u0041"}',
        b'{"a":9007199254740993}',
        b"[]",
        b"x",
        b'{"a":NaN}',
    ],
)
def test_part_that_is_not_canonical(tmp_path: Path, text: bytes) -> None:
    sample = build.small(5)
    target = sample.records[2].target
    target.text = text
    root = sample.write(tmp_path / "data")
    assert places(verify_directory(root)) == {("part-form", "vault/open/000000000000.jsonl", 2)}


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"a":{"b":[1,null,true,"x"]},"z":-5}',
        '{"a":"\u2028é😀\\u001f\\n"}'.encode(),
        b'{"a":1.5,"b":1e+21,"c":1e-7,"d":0.000001}',
        '{"😀":1,"\ufb33":2}'.encode(),
        b'{"user.id":5}',
        b'{"a":333333333.3333333,"b":4.5,"c":2e-27,"d":100000000000000000000.5}'.replace(
            b"100000000000000000000.5", b"0.5"
        ),
    ],
)
def test_part_that_is_canonical(tmp_path: Path, text: bytes) -> None:
    sample = build.small(5)
    sample.records[2].target.text = text
    assert verify_directory(sample.write(tmp_path / "data")).ok


def test_findings_hold_no_texts(root: Path) -> None:
    """Findings are mailed around: nothing of a person, whatever was tampered with."""
    set_column(root, "route", "'/people/Erika-Mustermann'")
    set_column(root, "actor", '\'{"user.id":"Erika-Mustermann"}\'', 42)
    set_column(root, "user_id", "'Erika-Mustermann'", 43)
    set_column(root, "actor_state", "'Erika-Mustermann'", 44)
    report = verify_directory(root)
    assert len({finding.index for finding in report.findings}) == 4
    assert "Mustermann" not in repr(report)
    assert "user-" not in repr(report)


def test_many_findings_are_counted(root: Path) -> None:
    build.rewrite_sealed(root / SECOND, "SELECT * REPLACE (1::SMALLINT AS status) FROM rows")
    report = verify_directory(root)
    assert report.findings_total == 180
    assert len(report.findings) == 20
