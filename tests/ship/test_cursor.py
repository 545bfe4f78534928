"""The cursor's file, and the quarantine beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxl_audit.errors import DirectoryError
from pxl_audit.ship.cursor import Cursor, Quarantined


def test_a_cursor_starts_at_0_and_survives(tmp_path: Path) -> None:
    assert Cursor(tmp_path / "sinks", "elasticsearch").read() == 0
    Cursor(tmp_path / "sinks", "elasticsearch").write(1234)
    assert Cursor(tmp_path / "sinks", "elasticsearch").read() == 1234
    assert (tmp_path / "sinks" / "elasticsearch.json").read_bytes() == b'{"sink":"elasticsearch","next":1234}\n'
    assert [path.name for path in (tmp_path / "sinks").iterdir()] == ["elasticsearch.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"sink":"other","next":1}', b'{"sink":"s","next":-1}', b"\xff"]
)
def test_a_damaged_cursor_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(DirectoryError, match=r"s\.json: damaged .*; remove the file"):
        Cursor(tmp_path, "s").read()


def test_a_record_noted_twice_is_quarantined_once(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path, "s")
    assert cursor.quarantined() == []
    cursor.quarantine([Quarantined(7, "a", 400), Quarantined(3, "b", 413)])
    cursor.quarantine([Quarantined(7, "a", 400)])
    assert cursor.quarantined() == [Quarantined(3, "b", 413), Quarantined(7, "a", 400)]
