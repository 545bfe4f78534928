"""Break the code on purpose, one place at a time: each of these mutants must turn its tests red.

A suite that stays green when a record is acknowledged before it is on the disk proves nothing about durability.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """Replace `old` by `new` in `file`; `tests` must then fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant("spool: skip the fsync", "pxl_audit/spool/writer.py", "os.fdatasync(self._fd)\n            self._size", "self._size", "tests/spool"),
    Mutant(
        "spool: acknowledge before writing",
        "pxl_audit/recorder.py",
        "            if not self._write(first, group):\n                return\n            self._forget(group, first + len(group) - 1)",
        "            self._forget(group, first + len(group) - 1)\n            self._write(first, group)",
        "tests/core/test_recorder.py",
    ),
    Mutant(
        "spool: go on with the file whose fsync failed",
        "pxl_audit/spool/writer.py",
        "        except OSError:\n            self._abandon_segment()\n            raise",
        "        except OSError:\n            raise",
        "tests/spool",
    ),
    Mutant("spool: do not look whether the file is still there", "pxl_audit/spool/writer.py", "            self._check_identity()\n", "", "tests/spool"),
    Mutant("spool: take an event twice", "pxl_audit/spool/reader.py", "if frame.seq <= self.cursor:", "if frame.seq < 0:", "tests/spool"),
    Mutant("spool: checksum not compared", "pxl_audit/spool/frames.py", "!= crc:", "!= crc and False:", "tests/spool"),
    Mutant("spool: child keeps the parent's lock", "pxl_audit/recorder.py", "os.register_at_fork(after_in_child=_after_fork_in_child)", "", "tests/agent/test_agent.py"),
    Mutant("files: rename before fsync", "pxl_audit/files.py", "        write_new(beside, data)\n        beside.rename(path)", "        beside.write_bytes(data)\n        beside.rename(path)", "tests/core/test_files.py"),
    Mutant("files: directory not synced", "pxl_audit/files.py", "    if sync_parent:\n        sync_directory(path.parent)", "", "tests/core/test_files.py"),
    Mutant(
        "agent: unlink spools before the batch is durable",
        "pxl_audit/agent/core.py",
        "        self._open.append(rows, gathered.cursors or self._open.cursors, self._intents.copy())\n        self._unpublished += rows\n        self.writers.committed(gathered, first)",
        "        self.writers.committed(gathered, first)\n        self._open.append(rows, gathered.cursors or self._open.cursors, self._intents.copy())\n        self._unpublished += rows",
        "tests/agent/test_agent.py",
    ),
    Mutant("agent: forget how far spools were taken over", "pxl_audit/agent/core.py", "Writers(directory.spool, self._open.cursors)", "Writers(directory.spool, {})", "tests/agent/test_agent.py"),
    Mutant("agent: no word about a killed writer", "pxl_audit/agent/writers.py", "            gathered.payloads.append(_unclean_stop(reader))\n            gathered.origins.append((\"\", 0))\n", "            pass\n", "tests/agent/test_agent.py"),
    Mutant("agent: sign on top of a vault from an older backup", "pxl_audit/agent/core.py", "if self._writer.size > self._open.end:", "if False:", "tests/agent/test_agent.py"),
    Mutant("agent: a new key where the old one is gone", "pxl_audit/log/keys.py", '        if (directory.log / "checkpoint").exists():', "        if False:", "tests/agent/test_agent.py"),
    Mutant("log: checkpoint before tiles", "pxl_audit/log/writer.py", "        self._write(files)\n        checkpoint = ", "        checkpoint = ", "tests/log"),
    Mutant("vault: commit line not checked", "pxl_audit/vault/journal.py", "if commit.crc != crc32(line.rpartition(CRC_MEMBER)[0], crc) or commit.commit < committed.end:", "if False:", "tests/vault"),
    Mutant("vault: the same salt for every record", "pxl_audit/agent/sequencer.py", "os.urandom(2 * SALT_BYTES * len(events))", "bytes(2 * SALT_BYTES * len(events))", "tests/vault"),
    Mutant("vault: leave the user id in its column", "pxl_audit/vault/destroy.py", "\"user_id\": f\"CASE WHEN {gone['actor']} THEN NULL ELSE user_id END\"", '"user_id": "user_id"', "tests/vault"),
    Mutant("vault: leave the salt", "pxl_audit/vault/destroy.py", 'replaced[f"{part}_salt"] = f"CASE WHEN {gone[part]} THEN NULL ELSE {part}_salt END"', 'replaced[f"{part}_salt"] = f"{part}_salt"', "tests/vault"),
    Mutant("capture: exception not recorded as such", "pxl_audit/middleware.py", "            conversation.error_type = type(error).__name__\n", "", "tests/capture/test_outcomes.py"),
    Mutant("capture: raw path as route", "pxl_audit/exchange.py", "or template_of(self.scope))", "or template_of(self.scope) or self.scope['path'])", "tests/capture/test_who_and_where.py"),
    Mutant("capture: believe the leftmost address", "pxl_audit/client_address.py", "            if not self._trusts(node):\n                break\n", "", "tests/capture/test_client_address.py"),
    Mutant("policy: do not wait for the intent", "pxl_audit/governed.py", "if not await self._durable(recorder, self._intent) and refuse:", "if False:", "tests/capture/test_governed.py"),
    Mutant("policy: last byte before the record", "pxl_audit/governed.py", "            await self._record_now()\n            await self._app_send(message)", "            await self._app_send(message)\n            await self._record_now()", "tests/capture/test_governed.py"),
    Mutant("policy: serve although the rule says refuse", "pxl_audit/governed.py", "if refuse and (recorder is None or not recorder.healthy):", "if False:", "tests/capture/test_governed.py"),
    Mutant("agent: forget open intents when sealing", "pxl_audit/agent/core.py", "old.cursors, old.intents)", "old.cursors, {})", "tests/capture/test_governed.py"),
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to be broken."""
    copy = tmp_path_factory.mktemp("mutants")
    for name in ("pxl_audit", "compliance", "reports", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "real"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_found(tree: Path, mutant: Mutant) -> None:
    """The tests named for this mutant fail when it is in."""
    path = tree / mutant.file
    original = path.read_text(encoding="utf-8")
    assert original.count(mutant.old) == 1, f"{mutant.file} has changed: adapt the mutant"
    path.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=60"]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
        run = subprocess.run(
            [*command, mutant.tests], cwd=tree, env=environ, capture_output=True, text=True, timeout=110, check=False
        )
    finally:
        path.write_text(original, encoding="utf-8")
    assert run.returncode == 1, f"survived (exit {run.returncode}):\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
