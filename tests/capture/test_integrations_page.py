"""What docs/integrations.md shows runs as it stands, and its table of events is that of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pxl_audit import events

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number: int, tmp_path: Path) -> None:
    program = tmp_path / "block.py"
    program.write_text(BLOCKS[number], encoding="utf-8")
    checkout = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=tmp_path,
        env={"PYTHONPATH": checkout, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{BLOCKS[number]}\n{done.stderr}"


def test_there_is_something_to_run() -> None:
    assert len(BLOCKS) == 4


def test_the_table_of_events_is_right() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `([a-z_.]+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    functions = {event: name for name, event in vars(events).items() if isinstance(event, events.DomainEvent)}
    assert sorted(listed) == sorted((functions[e], e.name, e.retention) for e in events.all_events().values())
