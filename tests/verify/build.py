"""Data directories made by hand from docs/format.md: a third look at the format, with no code of the package.

`Sample` holds records and writes a directory of them; tests change the records, or the files it wrote.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import duckdb
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LOG_ID = "00112233445566aa"
ORIGIN = "pxl.example/audit/1"
SEED = b"\x11" * 32
WRITER = "0123456789abcdef"
Members = dict[str, object]


def encode(value: object) -> bytes:
    """RFC 8785 for what the samples hold: sorted ASCII keys, integers, text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def vkey(seed: bytes = SEED, name: str = ORIGIN) -> str:
    key = b"\x01" + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = sha256(name.encode() + b"\n" + key).hexdigest()[:8]
    return f"{name}+{key_id}+{b64encode(key).decode()}"


def sign(text: str, seed: bytes = SEED, name: str = ORIGIN) -> bytes:
    key_id = bytes.fromhex(vkey(seed, name).split("+")[1])
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(text.encode())
    return f"{text}\n\u2014 {name} {b64encode(key_id + signature).decode()}\n".encode()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written there."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"").digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + root_of(hashes[:split]) + root_of(hashes[split:])).digest()


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def tree_root(leaves: Iterable[bytes]) -> bytes:
    return root_of([leaf_hash(leaf) for leaf in leaves])


@dataclass
class Part:
    """A personal part: `text` None is absent."""

    name: str
    text: bytes | None
    salt: bytes
    state: str = ""
    by: int | None = None

    def __post_init__(self) -> None:
        self.state = self.state or ("absent" if self.text is None else "open")

    @property
    def commitment(self) -> str:
        digest = self.salt
        if self.text is not None:
            digest = sha256(b"pxl-audit/commit/v1\0" + self.name.encode() + b"\0" + self.salt + self.text).digest()
        return b64encode(digest).decode().rstrip("=")


@dataclass
class Record:
    members: Members
    actor: Part
    target: Part

    @property
    def leaf(self) -> bytes:
        return encode({"a": self.actor.commitment, "b": self.target.commitment} | self.members)


def http_record(i: int) -> Record:
    actor = {
        "client.address": f"192.0.2.{i % 250}",
        "pxl.time_us": 1_764_000_000_000_000 + i,
        "user.id": f"user-{i % 7}",
    }
    members: Members = {
        "c": 200,
        "d": 1000 + i,
        "m": "GET",
        "r": '/v1/"x"/{id}',
        "s": "gateway",
        "t": 1_764_000_000 + i,
        "u": 2,
    }
    return _record(i, members, encode(actor), encode({"url.path": f"/v1/é/{i}"}))


def event_record(i: int, name: str, facts: Mapping[str, int | str] | None = None) -> Record:
    members: Members = {"e": name, "k": "system", "p": "control", "s": "pxl-audit", "t": 1_764_000_000 + i}
    return _record(i, members | ({"f": dict(facts)} if facts else {}), None, None)


def _record(i: int, members: Members, actor: bytes | None, target: bytes | None) -> Record:
    salts = [sha256(f"{i} {part}".encode()).digest() for part in ("actor", "target")]
    return Record(members, Part("actor", actor, salts[0]), Part("target", target, salts[1]))


@dataclass
class Sample:
    """Records, and how they lie in the vault; the defaults are what a good directory has."""

    records: list[Record]
    size: int
    """Of the checkpoint; records beyond it are in the open vault only."""
    sealed: list[tuple[int, int]] = field(default_factory=list)
    open_first: int = 0
    ledger: list[Members] = field(default_factory=list)

    def erase(self, event: int, actor: Sequence[int], target: Sequence[int], *, destroy: bool = True) -> None:
        """Announce at `event`, destroy, write the ledger; `completed` is the test's to append."""
        facts = {"plan": "00" * 32, "request": "r1"} | announced(actor, target)
        self.records[event] = event_record(event, "dsr.erasure.started", facts)
        ranges = [[[i, i + 1] for i in sorted(part)] for part in (actor, target)]
        self.ledger.append({"actor": ranges[0], "event": event, "log": LOG_ID, "target": ranges[1]})
        if destroy:
            self.destroy("erased", event, actor, target)

    def destroy(self, state: str, by: int | None, actor: Sequence[int], target: Sequence[int]) -> None:
        for part in [self.records[i].actor for i in actor] + [self.records[i].target for i in target]:
            part.state, part.by = state, by

    def write(self, root: Path) -> Path:
        """Write the whole directory."""
        for name in ("log", "vault/open", "vault/sealed", "keys", "ledger"):
            (root / name).mkdir(parents=True)
        (root / "pxl-audit.json").write_bytes(encode({"format": 1, "log_id": LOG_ID}) + b"\n")
        (root / "keys/log.vkey").write_text(vkey() + "\n")
        (root / "agent.lock").touch()
        (root / "vault/lock").touch()
        write_log(root / "log", [record.leaf for record in self.records[: self.size]])
        for first, end in self.sealed:
            write_sealed(root / f"vault/sealed/{first:012d}-{end:012d}.parquet", first, self.records[first:end])
        write_open(root / f"vault/open/{self.open_first:012d}.jsonl", self.open_first, self.records[self.open_first :])
        (root / "ledger/erasures.jsonl").write_bytes(b"".join(encode(line) + b"\n" for line in self.ledger))
        return root


def announced(actor: Sequence[int], target: Sequence[int]) -> dict[str, int | str]:
    members = sorted([(i, "actor") for i in actor] + [(i, "target") for i in target])
    root = tree_root(f"{i} {part}".encode() for i, part in members)
    return {"actor_parts": len(actor), "root": b64encode(root).decode(), "target_parts": len(target)}


def number(n: int) -> str:
    text = f"{n:03d}"
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[i : i + 3] for i in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def tile(log: Path, level: int | str, n: int, width: int) -> Path:
    return log / f"tile/{level}/{number(n)}{'' if width == 256 else f'.p/{width}'}"


def checkpoint(leaves: Sequence[bytes]) -> bytes:
    return sign(f"{ORIGIN}\n{len(leaves)}\n{b64encode(tree_root(leaves)).decode()}\n")


def write_log(log: Path, leaves: Sequence[bytes]) -> None:
    put(log / "checkpoint", checkpoint(leaves))
    for start in range(0, len(leaves), 256):
        some = leaves[start : start + 256]
        put(tile(log, "entries", start // 256, len(some)), bundle(some))
    hashes, level = [leaf_hash(leaf) for leaf in leaves], 0
    while hashes:
        groups = [hashes[start : start + 256] for start in range(0, len(hashes), 256)]
        for n, group in enumerate(groups):
            put(tile(log, level, n, len(group)), b"".join(group))
        hashes, level = [root_of(group) for group in groups if len(group) == 256], level + 1


def bundle(leaves: Iterable[bytes]) -> bytes:
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_open(path: Path, first: int, records: Sequence[Record], batch: int = 4) -> None:
    lines = [encode({"vault": 1, "first": first, "cursors": {}})]
    for start in range(0, len(records), batch):
        rows = b"".join(open_row(first + start + i, record) for i, record in enumerate(records[start : start + batch]))
        end = first + min(start + batch, len(records))
        covered = rows + json.dumps({"commit": end, "cursors": {WRITER: end}}, separators=(",", ":")).encode()[:-1]
        lines.append(covered + b',"crc":%d}' % crc32(covered))
    put(path, b"".join(line + b"\n" for line in lines))


def open_row(index: int, record: Record) -> bytes:
    row: Members = {"index": index, "leaf": record.leaf.decode()}
    for part in (record.actor, record.target):
        if part.text is not None:
            row |= {part.name: part.text.decode(), f"{part.name}_salt": b64encode(part.salt).decode()}
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


_TYPES = {
    "index": "BIGINT", "time": "TIMESTAMP", "service": "VARCHAR", "event": "VARCHAR", "method": "VARCHAR",
    "route": "VARCHAR", "outcome": "VARCHAR", "ending": "VARCHAR", "actor_kind": "VARCHAR", "retention": "VARCHAR",
    "error_type": "VARCHAR", "status": "SMALLINT", "duration_us": "BIGINT", "first_byte_us": "BIGINT",
    "application_us": "BIGINT", "request_bytes": "BIGINT", "response_bytes": "BIGINT", "facts": "VARCHAR",
    "actor": "VARCHAR", "target": "VARCHAR", "actor_salt": "BLOB", "target_salt": "BLOB",
    "actor_state": "VARCHAR", "target_state": "VARCHAR", "actor_by": "BIGINT", "target_by": "BIGINT",
    "user_id": "VARCHAR", "client_address": "VARCHAR",
}  # fmt: skip
_LETTERS = {
    "service": "s", "event": "e", "method": "m", "route": "r", "outcome": "o", "ending": "n", "actor_kind": "k",
    "retention": "p", "error_type": "g", "status": "c", "duration_us": "d", "first_byte_us": "h", "application_us": "w",
    "request_bytes": "i", "response_bytes": "u",
}  # fmt: skip
_DEFAULTS = {"e": "http.request", "o": "success", "n": "complete", "k": "anonymous", "p": "access", "i": 0, "u": 0}


def sealed_row(index: int, record: Record) -> Members:
    row: Members = {column: record.members.get(letter, _DEFAULTS.get(letter)) for column, letter in _LETTERS.items()}
    facts = record.members.get("f")
    row |= {"index": index, "seconds": record.members["t"], "facts": None if facts is None else encode(facts).decode()}
    for part in (record.actor, record.target):
        shown = part.state == "open" and part.text is not None
        row[part.name] = part.text.decode() if shown and part.text is not None else None
        row |= {
            f"{part.name}_salt": part.salt if shown else None,
            f"{part.name}_state": part.state,
            f"{part.name}_by": part.by,
        }
    actor = json.loads(str(row["actor"])) if row["actor"] else {}
    return row | {"user_id": actor.get("user.id"), "client_address": actor.get("client.address")}


def write_sealed(path: Path, first: int, records: Sequence[Record]) -> None:
    rows = [sealed_row(first + i, record) for i, record in enumerate(records)]
    columns = [column for column in _TYPES if column != "time"]
    with duckdb.connect(":memory:") as connection:
        kinds = ", ".join(f"{column} {_TYPES[column]}" for column in columns)
        connection.execute(f"CREATE TABLE rows ({kinds}, seconds BIGINT)")
        values = [[row[column] for column in [*columns, "seconds"]] for row in rows]
        connection.executemany(f"INSERT INTO rows VALUES ({', '.join('?' * (len(columns) + 1))})", values)
        copy_rows(
            connection,
            "SELECT * EXCLUDE seconds, make_timestamp(seconds * 1000000) AS time FROM rows ORDER BY index",
            path,
        )


def rewrite_sealed(path: Path, query: str) -> None:
    """Replace a sealed file by a query over itself (`rows`)."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM read_parquet('{path}')")
        copy_rows(connection, query, path)


def copy_rows(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ", ".join(_TYPES)
    connection.execute(f"COPY (SELECT {columns} FROM ({query})) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def small(count: int = 6) -> Sample:
    """A few records, all in the open vault."""
    return Sample([http_record(i) for i in range(count)], count)


def large() -> Sample:
    """310 records, 300 published: a full tile, sealed and open files, and each state that an opening can have."""
    sample = Sample([http_record(i) for i in range(310)], 300, [(0, 100), (100, 280)], 280)
    sample.records[0] = event_record(0, "audit.log.created", {"origin": ORIGIN})
    sample.erase(250, actor=[3, 7, 120], target=[7])
    sample.records[251] = event_record(251, "dsr.erasure.completed", {"request": "r1", "started": 250})
    sample.records[252] = event_record(252, "retention.expired", announced([10, 11], []))
    sample.destroy("expired", 252, [10, 11], [])
    sample.erase(260, actor=[30, 31], target=[], destroy=False)
    sample.destroy("erased", 260, [30], [])
    sample.destroy("withheld", None, [], [20])
    return sample
