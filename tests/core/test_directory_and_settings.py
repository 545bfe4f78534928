"""Bad input: each gets one clear error that names the file or key, and nothing is half-written."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from pxl_audit import AuditMiddleware
from pxl_audit.asgi_types import Message, Receive, Scope, Send
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import DirectoryError, SettingsError, UnavailableError, UsageError
from pxl_audit.event import make_event
from pxl_audit.record import record
from pxl_audit.settings import load_settings
from pxl_audit.vault.query import rows
from tests.builders import answering, drained, exchange


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="no such directory"):
        DataDirectory.open(tmp_path / "nowhere")


def test_directory_of_somebody_else(tmp_path: Path) -> None:
    """A directory with other things in it is neither used nor changed."""
    (tmp_path / "thesis.tex").write_text("x")
    for attempt in (DataDirectory.open, DataDirectory.open_or_create):
        with pytest.raises(DirectoryError, match=r"not a pxl-audit data directory|not empty"):
            attempt(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('{"format":2,"log_id":"0123456789abcdef"}', "newer version"),
        ('{"format":0,"log_id":"0123456789abcdef"}', "damaged"),
        ('{"format":1,"log_id":"xyz"}', "damaged"),
        ("{", "damaged"),
        ("", "damaged"),
    ],
)
def test_marker(tmp_path: Path, marker: str, message: str) -> None:
    """A newer or damaged directory is refused, with the way out."""
    (tmp_path / "pxl-audit.json").write_text(marker)
    with pytest.raises(DirectoryError, match=message):
        DataDirectory.open(tmp_path)


def test_directories_and_files_are_private(tmp_path: Path) -> None:
    """0700 and 0600, whatever the umask."""
    data = DataDirectory.open_or_create(tmp_path / "a" / "d")
    middleware = AuditMiddleware(answering(), service="t", directory=data.root, embedded_agent=False)
    asyncio.run(exchange(middleware))
    drained(data.root)
    for path in [data.root, *data.root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_directory_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A full or read-only disk: one line, naming the path."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(code, "cannot write", str(tmp_path / "d"))

    monkeypatch.setattr("pxl_audit.directory.make_directory", fails)
    with pytest.raises(DirectoryError, match="must be writable"):
        DataDirectory.open_or_create(tmp_path / "d")


def test_unusable_directory_stops_the_service_at_startup(tmp_path: Path) -> None:
    """The server is told why, instead of serving without a log."""
    (tmp_path / "thesis.tex").write_text("x")
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    middleware = AuditMiddleware(answering(), service="t", directory=tmp_path)
    asyncio.run(middleware({"type": "lifespan"}, receive, send))
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "not a pxl-audit data directory" in sent[0]["message"]


def test_unusable_directory_does_not_break_requests(tmp_path: Path) -> None:
    """Where lifespan never runs, failure policy `serve`: the response is the application's."""
    (tmp_path / "thesis.tex").write_text("x")
    middleware = AuditMiddleware(answering(204), service="t", directory=tmp_path)
    client = asyncio.run(exchange(middleware))
    assert client.sent[0]["status"] == 204


@pytest.mark.parametrize("service", ["", "with space", "a" * 65, "é", "a\n"])
def test_service_names(service: str) -> None:
    with pytest.raises(UsageError, match="service="):
        AuditMiddleware(answering(), service=service)


def test_settings_from_file_and_environment(tmp_path: Path) -> None:
    """The environment wins over the file, the file over the default."""
    file = tmp_path / "c.toml"
    file.write_text('[agent]\norigin = "audit.example.org/gw"\npublish_seconds = 5\nseal_rows = 10\n')
    settings = load_settings(file, {"PXL_AUDIT_AGENT_SEAL_ROWS": "20", "HOME": "/"})
    assert settings.agent.origin == "audit.example.org/gw"
    assert settings.agent.publish_seconds == 5.0
    assert settings.agent.seal_rows == 20
    assert load_settings(None, {"PXL_AUDIT_CONFIG": str(file)}).agent.seal_rows == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[agnet]\n", r"unknown table \[agnet\]; did you mean agent"),
        ("[agent]\npublish_second = 1\n", "unknown key agent.publish_second; did you mean publish_seconds"),
        ("[agent]\npublish_seconds = 0\n", "positive number"),
        ("[agent]\nseal_rows = 'many'\n", "positive integer"),
        ("[agent]\norigin = 5\n", "expected text"),
        ("agent = 5\n", "expected a table"),
        ("[agent\n", "not TOML"),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, message: str) -> None:
    """Each names the file and the key, and the nearest known one."""
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(file, {})
    assert str(file) in str(caught.value)


def test_unknown_variable_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean PXL_AUDIT_AGENT_SEAL_ROWS"):
        load_settings(None, {"PXL_AUDIT_AGENT_SEAL_ROW": "1"})
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"name": "Upper.Case"}, "event name"),
        ({"name": "nodot"}, "event name"),
        ({"outcome": "maybe"}, "outcome"),
        ({"retention": "forever"}, "retention"),
        ({"target": {"a": 1.5}}, r"target.a: expected text"),
        ({"target": {"a": 2**53}}, "below"),
        ({"target": {"é": 1}}, "ASCII"),
        ({"actor": {"a": "\ud800"}}, "surrogate"),
        ({"facts": {"a": "x\n"}}, "printable ASCII"),
    ],
)
def test_bad_events(members: dict[str, object], message: str) -> None:
    """What the format cannot hold is refused where it is made."""
    arguments = {"name": "test.event"} | members
    with pytest.raises(UsageError, match=message):
        make_event(**arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_record_outside_of_a_service() -> None:
    """No middleware, no log: said so, not swallowed."""
    with pytest.raises(UnavailableError, match="AuditMiddleware"):
        asyncio.run(record("test.event"))


def test_record_inside_a_request(tmp_path: Path) -> None:
    """A domain event takes actor and request id from the request it happens in."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await record("proof.verified", target="p-17", attributes={"steps": 3}, durable=True)
        await answering(user="alice")(scope, receive, send)

    async def own_actor(scope: Scope, receive: Receive, send: Send) -> None:
        await record("auth.login", actor="bob", outcome="failure", retention="security")
        await answering()(scope, receive, send)

    for directory, application in ((tmp_path / "a", app), (tmp_path / "b", own_actor)):
        middleware = AuditMiddleware(application, service="core", directory=directory, embedded_agent=False)
        asyncio.run(exchange(middleware))
        drained(directory)
    a = {row.event: row for row in rows(DataDirectory.open(tmp_path / "a"), 0, 99)}
    b = {row.event: row for row in rows(DataDirectory.open(tmp_path / "b"), 0, 99)}
    proof = a["proof.verified"]
    assert proof.service == "core"
    assert proof.target.text == '{"audit.target.id":"p-17","pxl.attributes":{"steps":3}}'
    assert '"pxl.request.id":' in (proof.actor.text or "")
    login = b["auth.login"]
    assert (login.outcome, login.retention, login.actor_kind) == ("failure", "security", "user")
    assert '"user.id":"bob"' in (login.actor.text or "")
