"""An execution that is cut off anywhere goes on when it is run again, and ends as if it had never been cut off."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compliance.dsr import events, execution
from compliance.dsr.execution import STEPS, Run
from compliance.dsr.ledger import ledger_path
from compliance.dsr.requests import Request, load, request_path
from compliance.dsr.verification import check_all
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UnavailableError
from pxl_audit.ship.erase import SinkErasure, erase_in_sinks
from tests.compliance.people import ALICE, approved, build, executed, openings

pytestmark = pytest.mark.slow


class KilledError(BaseException):
    """What a kill looks like from inside: nothing catches it."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("template") / "audit"
    return root, approved(build(root)).id


@pytest.fixture
def ready(template: tuple[Path, str], tmp_path: Path) -> tuple[DataDirectory, str]:
    """A data directory of its own, with a request that can be executed."""
    shutil.copytree(template[0], tmp_path / "audit")
    return DataDirectory.open(tmp_path / "audit"), template[1]


def _cut(name: str) -> tuple[Callable[[Run], None], ...]:
    """The steps, cut off right after the one called `name`."""

    def cut(step: Callable[[Run], None]) -> Callable[[Run], None]:
        def and_die(run: Run) -> None:
            step(run)
            raise KilledError

        and_die.__name__ = step.__name__
        return and_die

    return tuple(cut(step) if step.__name__ == name else step for step in STEPS)


def _assert_complete(directory: DataDirectory, request_id: str) -> None:
    request = load(directory, request_id)
    assert request.state == "completed"
    assert request.subject is None
    assert ALICE.encode() not in request_path(directory, request_id).read_bytes()
    for name in (events.STARTED, events.COMPLETED):
        assert len(events.recorded(directory, name)) == 1
    assert ledger_path(directory).read_bytes().count(b"\n") == 1
    checks, strays = check_all(directory)
    assert ([check.verdict for check in checks], strays) == (["good"], [])
    erased = sorted(key for key, opening in openings(directory).items() if opening.state == "erased")
    assert len(erased) == 7
    assert request.residue is not None
    assert request.residue.found == 0


@pytest.mark.parametrize("name", [step.__name__ for step in STEPS])
def test_cut_off_after_any_step(ready: tuple[DataDirectory, str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(execution, "STEPS", _cut(name))
        with pytest.raises(KilledError):
            executed(*ready)
    if name != "forget":
        assert load(*ready).state in ("approved", "executing")
        executed(*ready)
    _assert_complete(*ready)


@pytest.mark.parametrize("name", [events.STARTED, events.COMPLETED])
def test_cut_off_between_a_record_and_the_request_file(
    ready: tuple[DataDirectory, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = events.record

    def record_and_die(directory: DataDirectory, event: str, facts: events.Facts, *, by: str) -> int:
        index = whole(directory, event, facts, by=by)
        if event == name:
            raise KilledError
        return index

    with monkeypatch.context() as patched:
        patched.setattr(events, "record", record_and_die)
        with pytest.raises(KilledError):
            executed(*ready)
    executed(*ready)
    _assert_complete(*ready)


def test_nothing_is_destroyed_before_it_is_announced(
    ready: tuple[DataDirectory, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise UnavailableError("no agent")

    before = openings(ready[0])
    with monkeypatch.context() as patched:
        patched.setattr(events, "record", refuse)
        with pytest.raises(UnavailableError):
            executed(*ready)
    assert openings(ready[0]) == before
    assert not ledger_path(ready[0]).exists()


def test_a_sink_that_does_not_answer_leaves_the_request_partial(
    ready: tuple[DataDirectory, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Callable[[], list[SinkErasure]]] = [
        _unavailable,
        lambda: [SinkErasure("elasticsearch", 4, verified=False, detail="old versions left")],
        lambda: [SinkErasure("elasticsearch", 4, verified=True, detail="none left")],
    ]
    monkeypatch.setattr(execution, "erase_sinks", lambda *_, **__: answers.pop(0)())
    for message in ("is partial, the vault is done: no answer", "not shown to be erased in elasticsearch"):
        with pytest.raises(UnavailableError, match=message) as caught:
            executed(*ready)
        assert caught.value.exit_code == 2
        stored: Request = load(*ready)
        assert (stored.state, stored.completed) == ("partial", None)
        assert stored.subject is not None
    executed(*ready)
    _assert_complete(*ready)
    assert [sink.verified for sink in load(*ready).sinks] == [True]


def _unavailable() -> list[SinkErasure]:
    raise UnavailableError("no answer")


def test_the_sinks_are_asked_for_exactly_the_plan(
    ready: tuple[DataDirectory, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def ask(_: DataDirectory, parts: object, **more: object) -> list[SinkErasure]:
        asked.append((parts, more))
        return []

    assert vars(execution)["erase_sinks"] is erase_in_sinks
    monkeypatch.setattr(execution, "erase_sinks", ask)
    done = executed(*ready).request
    assert done.plan is not None
    assert asked == [(done.plan.parts().indexes(), {"by": done.started, "environ": {}})]


_KILLED = """
import os, signal, sys
from pathlib import Path
from compliance.dsr import execution
from pxl_audit.directory import DataDirectory
from tests.compliance.people import executed

def then_die(step):
    def run(state):
        step(state)
        os.kill(os.getpid(), signal.SIGKILL)
    run.__name__ = step.__name__
    return run

execution.STEPS = tuple(then_die(s) if s.__name__ == sys.argv[3] else s for s in execution.STEPS)
executed(DataDirectory.open(Path(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.parametrize("name", ["announce", "destroy"])
def test_a_real_kill(ready: tuple[DataDirectory, str], name: str) -> None:
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(ready[0].root), ready[1], name],
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert killed.returncode == -signal.SIGKILL
    executed(*ready)
    _assert_complete(*ready)
