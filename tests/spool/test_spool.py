"""The spool: what is acknowledged is there, torn is told from corrupt, faults lose nothing silently."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxl_audit.spool.frames import CLOSE, EVENT, HEAD_BYTES, any_frame_after, encode_frame, frame_at, frames
from pxl_audit.spool.reader import SpoolReader
from pxl_audit.spool.writer import SpoolFileLostError, SpoolWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SpoolWriter]:
    made = SpoolWriter(tmp_path, "svc")
    yield made
    made.abandon()


def reader_of(writer: SpoolWriter, cursor: int = 0) -> SpoolReader:
    return SpoolReader(writer.path, cursor)


def segment(writer: SpoolWriter) -> Path:
    return max(writer.path.glob("*.spool"))


@given(st.lists(st.tuples(st.integers(0, 2**63), st.sampled_from([EVENT, CLOSE]), st.binary(max_size=50)), max_size=5))
def test_frames_round_trip(content: list[tuple[int, int, bytes]]) -> None:
    """What was framed comes back, in order, and nothing else."""
    data = b"".join(encode_frame(*frame) for frame in content)
    assert [(frame.seq, frame.kind, frame.payload) for frame in frames(data, 0)] == content


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_flipped_bit_makes_a_frame_invalid(payload: bytes, data: st.DataObject) -> None:
    """The checksum covers every byte of a frame."""
    frame = bytearray(encode_frame(7, EVENT, payload))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << (bit % 8)
    assert frame_at(bytes(frame), 0) is None


def test_torn_is_not_corrupt() -> None:
    """Half a frame at the end is torn; a damaged frame before a whole one is corrupt."""
    whole = encode_frame(1, EVENT, b"abc")
    assert not any_frame_after(whole[:-1], 0)
    assert any_frame_after(b"\0" * HEAD_BYTES + whole, 0)


def test_reader_follows_a_living_writer(writer: SpoolWriter) -> None:
    """Events come once, in order, over segments; a segment is done only when closed."""
    reader = reader_of(writer)
    writer.append(1, [b"a", b"b"])
    first = reader.read()
    assert first.events == [(1, b"a"), (2, b"b")]
    assert not first.done_segments
    writer.rotate()
    writer.append(3, [b"c"])
    second = reader.read()
    assert second.events == [(3, b"c")]
    assert [path.name for path in second.done_segments] == ["000000000001.spool"]
    assert not reader.ended
    assert not reader.writer_is_dead()
    writer.close()
    reader.read()
    assert reader.ended


def test_reader_goes_on_from_its_cursor(writer: SpoolWriter) -> None:
    """A new agent takes nothing twice."""
    writer.append(1, [b"a", b"b", b"c"])
    assert reader_of(writer, cursor=2).read().events == [(3, b"c")]


def test_half_written_frame_of_a_living_writer_is_waited_for(writer: SpoolWriter) -> None:
    """A reader never takes a frame that is still being written for damage."""
    writer.append(1, [b"a"])
    frame = encode_frame(2, EVENT, b"bbb")
    with segment(writer).open("ab") as file:
        file.write(frame[:9])
    reader = reader_of(writer)
    assert reader.read().events == [(1, b"a")]
    assert reader.read().gaps == []
    with segment(writer).open("ab") as file:
        file.write(frame[9:])
    assert reader.read().events == [(2, b"bbb")]


def test_torn_tail_of_a_dead_writer_is_no_gap(writer: SpoolWriter) -> None:
    """Killed while writing: the whole frames count, the torn one was never acknowledged."""
    writer.append(1, [b"a"])
    with segment(writer).open("ab") as file:
        file.write(encode_frame(2, EVENT, b"bbb")[:-1])
    writer.abandon()
    reader = reader_of(writer)
    reading = reader.read()
    assert (reading.events, reading.gaps) == ([(1, b"a")], [])
    assert reader.writer_is_dead()
    assert reader.read().gaps == []
    assert not reader.ended


def test_corruption_is_a_gap_with_its_count(writer: SpoolWriter) -> None:
    """A damaged frame in the middle is reported, and what follows it is still taken."""
    writer.append(1, [b"aaaa", b"bbbb", b"cccc"])
    path = segment(writer)
    data = bytearray(path.read_bytes())
    data[data.index(b"bbbb")] ^= 1
    path.write_bytes(data)
    writer.abandon()
    reader = reader_of(writer)
    readings = [reader.read(), reader.read()]
    assert [event for reading in readings for event in reading.events] == [(1, b"aaaa"), (3, b"cccc")]
    assert [gap for reading in readings for gap in reading.gaps] == [("spool_corrupt", 0), ("spool_sequence", 1)]


def test_failed_fsync_moves_to_a_new_segment(writer: SpoolWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync is never tried again on the same file; the events are written again elsewhere and taken once."""
    writer.append(1, [b"a"])
    synced: list[int] = []
    real = os.fdatasync

    def failing(fd: int) -> None:
        synced.append(fd)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fdatasync", failing)
    with pytest.raises(OSError, match="Input/output"):
        writer.append(2, [b"b"])
    monkeypatch.setattr("os.fdatasync", real)
    writer.append(2, [b"b", b"c"])
    assert len(synced) == 1
    assert len(list(writer.path.glob("*.spool"))) == 2
    reading = reader_of(writer).read()
    assert reading.events == [(1, b"a"), (2, b"b"), (3, b"c")]


@pytest.mark.parametrize("harm", ["unlink", "replace", "truncate"])
def test_lost_file_is_noticed_at_the_next_commit(writer: SpoolWriter, harm: str) -> None:
    """An unlinked, replaced or truncated segment is not written to as if nothing were wrong."""
    writer.append(1, [b"a"])
    path = segment(writer)
    if harm == "unlink":
        path.unlink()
    elif harm == "replace":
        other = path.with_suffix(".new")
        other.write_bytes(path.read_bytes())
        other.replace(path)
    else:
        os.truncate(path, 3)
    with pytest.raises((SpoolFileLostError, FileNotFoundError)):
        writer.append(2, [b"b"])
    writer.append(2, [b"b"])
    assert (2, b"b") in reader_of(writer).read().events
