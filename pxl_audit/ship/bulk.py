"""The `_bulk` protocol without a connection: request bodies, and what each item of an answer means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pxl_audit.ship.verdict import Outcome, Verdict

BODY_BYTES = 8 * 1024 * 1024
"""Size of a request body, unless one document alone is bigger. Elasticsearch takes 100 MB by default."""
ANSWER_FILTER = "items.*._index,items.*._id,items.*.status,items.*.error.type,items.*.failure_store"
"""What we ask to be told (`filter_path`). No error reasons: they quote the values they complain about."""

# The only complaints that are about one document. Every other 4xx (no right, no template, closed or read-only index)
# would be said of all documents, and must stop the line instead of emptying the log into quarantine.
_POISON = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
        "max_bytes_length_exceeded_exception",
    }
)


@dataclass(frozen=True)
class Line:
    """One action with its document."""

    target: str
    """The data stream or index of the action."""
    id: str
    """What the answer must be about; empty where the server chooses it."""
    action: bytes
    source: bytes


class _ItemError(msgspec.Struct):
    type: str = ""


class _Item(msgspec.Struct):
    status: int
    index: str = msgspec.field(name="_index", default="")
    id: str = msgspec.field(name="_id", default="")
    error: _ItemError | None = None
    failure_store: str = ""


class _Answer(msgspec.Struct):
    items: list[dict[str, _Item]]


def create_line(stream: str, identifier: str | None, source: bytes) -> Line:
    """Create a document in a data stream; `None` lets the server choose its id."""
    target = {"_index": stream} if identifier is None else {"_index": stream, "_id": identifier}
    # Without `require_data_stream` a missing template would make a plain index, with guessed field types.
    return Line(
        stream, identifier or "", msgspec.json.encode({"create": {**target, "require_data_stream": True}}), source
    )


def replace_line(index: str, identifier: str, *, seq_no: int, primary_term: int, source: bytes) -> Line:
    """Replace a document in its backing index, if it is still the version that was read."""
    target = {"_index": index, "_id": identifier, "if_seq_no": seq_no, "if_primary_term": primary_term}
    return Line(index, identifier, msgspec.json.encode({"index": target}), source)


def body(lines: Iterable[Line]) -> bytes:
    """The request body."""
    return b"".join(piece for line in lines for piece in (line.action, b"\n", line.source, b"\n"))


def chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Cut into request bodies of at most `BODY_BYTES` (or one document)."""
    chunk: list[Line] = []
    size = 0
    for line in lines:
        length = len(line.action) + len(line.source) + 2
        if chunk and size + length > BODY_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += length
    if chunk:
        yield chunk


def verdicts(answer: object, lines: Sequence[Line]) -> list[Verdict]:
    """One verdict a line from a 200 answer's JSON; an answer that cannot be matched to the lines confirms nothing."""
    try:
        items = msgspec.convert(answer, _Answer).items
    except msgspec.ValidationError:
        return [Verdict(Outcome.RETRY, "unreadable answer")] * len(lines)
    if len(items) != len(lines):
        return [Verdict(Outcome.RETRY, "answer of another length")] * len(lines)
    return [_verdict(item, line) for item, line in zip(items, lines, strict=True)]


def _verdict(item: Mapping[str, _Item], line: Line) -> Verdict:
    answer = next(iter(item.values()), None)
    if answer is None or (line.id and answer.id != line.id):
        return Verdict(Outcome.RETRY, "answer about another document")
    if answer.failure_store == "used":
        return Verdict(Outcome.REFUSED, "failure_store", answer.status)
    reason = answer.error.type if answer.error else ""
    # A document that was looked at has reached a backing index. An error that still names the stream was made before:
    # the index could not be created (a broken template), and then the document is not to blame.
    reached = answer.index != line.target
    return Verdict(_outcome(answer.status, reason, reached=reached), reason, answer.status)


def _outcome(status: int, reason: str, *, reached: bool) -> Outcome:
    if status in (200, 201) and not reason:
        return Outcome.STORED
    if status == 409:
        return Outcome.EXISTS
    if status == 400 and reason in _POISON and reached:
        return Outcome.REFUSED
    if 400 <= status < 500 and status != 429:
        return Outcome.BLOCKED
    return Outcome.RETRY
