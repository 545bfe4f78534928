"""The cursor moves over what was confirmed, in order, and over nothing else."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxl_audit.errors import BusyError, UnavailableError
from pxl_audit.ship.cursor import Cursor, Quarantined
from pxl_audit.ship.delivery import Shipper, State
from pxl_audit.ship.verdict import Verdict
from tests.ship.fakes import BLOCKED, BUSY, POISON, FakeSink
from tests.ship.samples import FakeRecords, rows


def _shipper(tmp_path: Path, sink: FakeSink, count: int = 10, *, batch: int = 4) -> Shipper:
    return Shipper(tmp_path, sink, FakeRecords(rows(count)), batch_records=batch)


def test_batches_follow_each_other_until_nothing_is_left(tmp_path: Path) -> None:
    sink = FakeSink()
    shipper = _shipper(tmp_path, sink)
    results = [shipper.step() for _ in range(4)]
    assert [result.state for result in results] == [State.MORE, State.MORE, State.IDLE, State.IDLE]
    assert [(result.delivered, result.next, result.behind) for result in results] == [
        (4, 4, 6),
        (4, 8, 2),
        (2, 10, 0),
        (0, 10, 0),
    ]
    assert sink.has == list(range(10))
    assert sink.looked == [[0, 1, 2, 3]], "only a start is uncertain"


def test_the_cursor_stops_before_the_first_record_that_is_not_confirmed(tmp_path: Path) -> None:
    sink = FakeSink(say={2: BUSY})
    shipper = _shipper(tmp_path, sink)
    result = shipper.step()
    assert (result.state, result.delivered, result.next) == (State.RETRY, 2, 2)
    assert result.reason == "429 es_rejected_execution_exception"
    assert sink.has == [0, 1, 3]
    sink.say.clear()
    assert shipper.step().next == 6
    assert sink.looked[-1] == [2, 3, 4, 5]
    assert sink.offered[-1] == [2, 4, 5], "what was found is not offered again"


def test_a_conflict_is_looked_up_before_it_counts(tmp_path: Path) -> None:
    sink = FakeSink()
    shipper = _shipper(tmp_path, sink)
    shipper.step()
    sink.has.append(5)  # an unanswered request of another time
    result = shipper.step()
    assert (result.state, result.next) == (State.RETRY, 5)
    assert shipper.step().next == 9
    assert sorted(sink.has) == list(range(9))


def test_where_looking_up_is_forbidden_a_conflict_counts_as_there(tmp_path: Path) -> None:
    sink = FakeSink(may_look=False, has=[0, 1])
    assert _shipper(tmp_path, sink).step().next == 4


def test_an_answer_that_got_lost_leaves_no_duplicate(tmp_path: Path) -> None:
    sink = FakeSink(hides={0, 1, 2, 3})
    shipper = _shipper(tmp_path, sink)
    assert shipper.step().next == 0
    sink.hides.clear()
    while shipper.step().state is not State.IDLE:
        pass
    assert sink.has == list(range(10))


def test_poison_is_set_aside_and_noted_before_the_cursor_passes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = FakeSink(say={1: POISON})
    shipper = _shipper(tmp_path, sink)

    def fails(_self: Cursor, _index: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Cursor, "write", fails)
        with pytest.raises(OSError, match="No space"):
            shipper.step()
    cursor = Cursor(tmp_path, "fake")
    assert (cursor.read(), cursor.quarantined()) == (0, [Quarantined(1, "document_parsing_exception", 400)])
    result = shipper.step()
    assert (result.state, result.delivered, result.quarantined, result.next) == (State.MORE, 3, 1, 4)
    assert len(cursor.quarantined()) == 1


def test_poison_behind_an_unconfirmed_record_is_not_noted_yet(tmp_path: Path) -> None:
    result = _shipper(tmp_path, FakeSink(say={1: BUSY, 2: POISON})).step()
    assert (result.next, result.quarantined) == (1, 0)
    assert Cursor(tmp_path, "fake").quarantined() == []


def test_when_every_record_is_refused_the_line_stops(tmp_path: Path) -> None:
    sink = FakeSink(say=dict.fromkeys(range(20), POISON))
    result = _shipper(tmp_path, sink, 20, batch=20).step()
    assert (result.state, result.next) == (State.BLOCKED, 0)
    assert Cursor(tmp_path, "fake").quarantined() == []


def test_a_store_that_refuses_us_blocks(tmp_path: Path) -> None:
    result = _shipper(tmp_path, FakeSink(say={0: BUSY, 1: BLOCKED})).step()
    assert (result.state, result.reason) == (State.BLOCKED, "403 cluster_block_exception")


def test_a_store_that_is_away_is_tried_again(tmp_path: Path) -> None:
    sink = FakeSink(error=UnavailableError("Elasticsearch does not answer"))
    shipper = _shipper(tmp_path, sink)
    assert (shipper.step().state, shipper.step().behind) == (State.RETRY, 10)


def test_an_erasure_that_holds_the_vault_is_waited_for(tmp_path: Path) -> None:
    class Held(FakeRecords):
        def held_still(self) -> AbstractContextManager[None]:
            raise BusyError("held")

    result = Shipper(tmp_path, FakeSink(), Held(rows(3))).step()
    assert (result.state, result.reason) == (State.RETRY, "openings are being destroyed")


def test_a_cursor_ahead_of_the_log_is_said_and_left_alone(tmp_path: Path) -> None:
    Cursor(tmp_path, "fake").write(11)
    result = _shipper(tmp_path, FakeSink()).step()
    assert (result.state, result.next) == (State.BLOCKED, 11)
    assert "ahead of the log" in result.reason


def test_a_hole_in_the_vault_is_never_skipped(tmp_path: Path) -> None:
    records = FakeRecords(rows(6))
    del records.published[2]
    sink = FakeSink()
    result = Shipper(tmp_path, sink, records).step()
    assert (result.state, result.next, sink.offered) == (State.BLOCKED, 0, [])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["store", "hide", "busy", "poison"]), max_size=12), st.integers(1, 5))
def test_whatever_happens_each_record_is_there_once_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, fates: list[str], batch: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("sinks")
    verdicts: dict[str, Verdict] = {"busy": BUSY, "poison": POISON}
    sink = FakeSink(
        say={n: verdicts[fate] for n, fate in enumerate(fates) if fate in verdicts},
        hides={n for n, fate in enumerate(fates) if fate == "hide"},
    )
    shipper = _shipper(tmp_path, sink, len(fates), batch=batch)
    for _ in range(3):
        result = shipper.step()
        confirmed = {n for n in range(result.next) if fates[n] != "poison"}
        assert confirmed <= set(sink.has), "the cursor passed a record that is not there"
    sink.say = {n: verdict for n, verdict in sink.say.items() if verdict is POISON}
    while shipper.step().state is not State.IDLE:
        pass
    poisoned = [n for n, fate in enumerate(fates) if fate == "poison"]
    assert sorted(sink.has) == [n for n in range(len(fates)) if n not in poisoned]
    assert [record.index for record in Cursor(tmp_path, "fake").quarantined()] == poisoned
