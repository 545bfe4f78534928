"""The directory of a demo: what is used, what is replaced, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pxl_audit.agent.process import agent_lock
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import BusyError, UsageError
from reports.demo.workplace import MARKER, workplace


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_or_empty_directory_is_used(tmp_path: Path, exists: bool) -> None:
    root = tmp_path / "new" / "out"
    if exists:
        root.mkdir(parents=True)
    with workplace(root) as place:
        assert place.logs.is_dir()
    assert json.loads((root / MARKER).read_text()) == {"demo": 1}


def test_a_foreign_directory_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "mine").write_text("x")
    with pytest.raises(UsageError, match="not made by an earlier demo"), workplace(tmp_path):
        pass
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "gateway",
        "gateway/mine",
    ]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="--out"), workplace(tmp_path / "out"):
        pass


def test_an_earlier_demo_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    with workplace(tmp_path) as place:
        place.save({"ok": True})
        place.data("core").mkdir()
        (place.data("core") / "old").write_text("x")
        (tmp_path / "notes").write_text("mine")
    with workplace(tmp_path) as place:
        assert not place.data("core").exists()
    assert (tmp_path / "notes").read_text() == "mine"


def test_two_demos_do_not_share(tmp_path: Path) -> None:
    with workplace(tmp_path), pytest.raises(BusyError, match="another demo"), workplace(tmp_path):
        pass


def test_an_agent_at_work_is_waited_for_by_the_user(tmp_path: Path) -> None:
    with workplace(tmp_path) as place:
        data = DataDirectory.open_or_create(place.data("core"))
    with agent_lock(data), pytest.raises(BusyError, match="an agent is still at work"), workplace(tmp_path):
        pass
