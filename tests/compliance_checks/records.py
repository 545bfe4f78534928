"""A small view `records` in memory, with the columns that checks and populations may read (docs/format.md, section 5).

Openings are filled with canary values, so that whatever copies one into a result or a pack is seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import duckdb

from compliance.checks.window import Window

CANARIES = ("canary-user-5f1", "203.0.113.199", "CanaryAgent/9", "/v1/people/canary-path", "canary-salt")
NOW = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)
WINDOW = Window(date(2026, 10, 1), date(2027, 1, 1), NOW)

_COLUMNS = """
"index" BIGINT, "time" TIMESTAMP, service VARCHAR, event VARCHAR, method VARCHAR, route VARCHAR, outcome VARCHAR,
ending VARCHAR, actor_kind VARCHAR, retention VARCHAR, error_type VARCHAR, status SMALLINT, duration_us BIGINT,
facts VARCHAR, actor VARCHAR, actor_salt BLOB, user_id VARCHAR, client_address VARCHAR
"""


@dataclass(frozen=True)
class Record:
    """One record; the defaults are a successful GET by a user on 20 November 2026."""

    time: str = "2026-11-20 12:00:00"
    service: str = "gateway"
    event: str = "http.request"
    method: str | None = "GET"
    route: str | None = "/v1/proofs"
    outcome: str = "success"
    ending: str = "complete"
    actor_kind: str = "user"
    retention: str = "access"
    error_type: str | None = None
    status: int | None = 200
    duration_us: int | None = 1500
    facts: Mapping[str, int | str] | None = field(default=None)


def control(event: str, time: str = "2026-11-20 12:00:00", /, **facts: int | str) -> Record:
    """One of the log's own records."""
    return Record(
        time=time, service="pxl-audit", event=event, method=None, route=None, actor_kind="system",
        retention="control", status=None, duration_us=None, facts=facts,
    )  # fmt: skip


def seconds(time: str) -> int:
    """Seconds since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp())


def unclean_stop(begin: str, end: str, *, lost: int = 0, in_flight: int = 0, service: str = "gateway") -> Record:
    """A killed writer, as the next start records it."""
    return control(
        "audit.writer.unclean_stop", end, service=service, writer="00aa11bb22cc33dd", begun=10, handed_out=9,
        recovered=8, lost=lost, in_flight=in_flight, **{"from": seconds(begin), "to": seconds(end)},
    )  # fmt: skip


def connect(records: Iterable[Record]) -> duckdb.DuckDBPyConnection:
    """A connection with the view `records`; indexes are the positions."""
    connection = duckdb.connect(config={"autoload_known_extensions": False, "temp_directory": ""})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE TEMP TABLE stored ({_COLUMNS})")
    for index, one in enumerate(records):
        connection.execute(
            "INSERT INTO stored VALUES (?, ?::TIMESTAMP, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                index, one.time, one.service, one.event, one.method, one.route, one.outcome, one.ending,
                one.actor_kind, one.retention, one.error_type, one.status, one.duration_us,
                None if one.facts is None else json.dumps(one.facts),
                json.dumps({"user.id": CANARIES[0], "user_agent.original": CANARIES[2], "url.path": CANARIES[3]}),
                CANARIES[4].encode(), CANARIES[0], CANARIES[1],
            ],
        )  # fmt: skip
    connection.execute("CREATE TEMP VIEW records AS SELECT * FROM stored")
    return connection
