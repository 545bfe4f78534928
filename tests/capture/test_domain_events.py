"""Domain events: names, classes and outcomes of `pxl_audit.events`; who and what they say; both ways of calling."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pxl_audit import Actor, AuditMiddleware, events, set_actor
from pxl_audit.asgi_types import Receive, Scope, Send
from pxl_audit.directory import DataDirectory
from pxl_audit.domain_event import DomainEvent
from pxl_audit.errors import UnavailableError, UsageError
from pxl_audit.testing import Recorded, recorded
from pxl_audit.vault.query import rows
from tests.builders import answering, drained, exchange

Call = Callable[[], Coroutine[Any, Any, None]]

CASES: list[tuple[Call, str, str, str, str | None, dict[str, Any]]] = [
    (
        lambda: events.signed_in("alice", method="oidc"),
        "auth.login",
        "security",
        "success",
        "alice",
        {"method": "oidc"},
    ),
    (lambda: events.signed_in("alice"), "auth.login", "security", "success", "alice", {}),
    (
        lambda: events.sign_in_failed("alice", reason="locked"),
        "auth.login_failed",
        "security",
        "failure",
        "alice",
        {"reason": "locked"},
    ),
    (lambda: events.signed_out("alice"), "auth.logout", "security", "success", "alice", {"reason": "user"}),
    (
        lambda: events.credentials_changed("bob", what="passkey", change="removed"),
        "auth.credentials_changed",
        "security",
        "success",
        "bob",
        {"change": "removed", "what": "passkey"},
    ),
    (
        lambda: events.access_granted("bob", permission="proofs:write", resource="p7", approval="T-1"),
        "access.granted",
        "security",
        "success",
        "bob",
        {"approval": "T-1", "permission": "proofs:write", "resource": "p7"},
    ),
    (
        lambda: events.access_revoked("bob", permission="proofs:write", reason="left"),
        "access.revoked",
        "security",
        "success",
        "bob",
        {"permission": "proofs:write", "reason": "left"},
    ),
    (
        lambda: events.role_changed("bob", before=["reader"], after=("reader", "admin"), approval="T-2"),
        "access.role_changed",
        "security",
        "success",
        "bob",
        {"after": ["reader", "admin"], "approval": "T-2", "before": ["reader"]},
    ),
    (
        lambda: events.administered("impersonate", "bob", outcome="failure"),
        "admin.action",
        "security",
        "failure",
        "bob",
        {"action": "impersonate"},
    ),
    (
        lambda: events.config_changed("limits.rate", before=10, after=False, change="C-3"),
        "config.changed",
        "control",
        "success",
        "limits.rate",
        {"after": False, "before": 10, "change": "C-3"},
    ),
    (
        lambda: events.deployed("2.1.0", digest="sha256:00", change="C-4", approved_by="carol", outcome="failure"),
        "deploy.finished",
        "control",
        "failure",
        "2.1.0",
        {"approved_by": "carol", "change": "C-4", "digest": "sha256:00"},
    ),
    (
        lambda: events.key_used("signing-2026", purpose="sign", target="proof-9"),
        "key.used",
        "security",
        "success",
        "signing-2026",
        {"purpose": "sign", "used_on": "proof-9"},
    ),
    (
        lambda: events.exported("users", records=12, destination="download", outcome="unknown"),
        "data.exported",
        "security",
        "unknown",
        "users",
        {"destination": "download", "records": 12},
    ),
    (
        lambda: events.reviewed("bob", decision="revoked", population=40, reference="Q3"),
        "review.completed",
        "control",
        "success",
        "bob",
        {"decision": "revoked", "population": 40, "reference": "Q3"},
    ),
]


@pytest.mark.parametrize(
    ("call", "name", "retention", "outcome", "target", "attributes"),
    CASES,
    ids=[f"{c[1]}-{i}" for i, c in enumerate(CASES)],
)
def test_each_event(
    call: Call, name: str, retention: str, outcome: str, target: str | None, attributes: dict[str, Any]
) -> None:
    with recorded() as records:
        asyncio.run(call())
    record = records.one(event=name, retention=retention, outcome=outcome, target_id=target)
    assert record.attributes == attributes
    assert len(records) == 1


def test_no_event_is_untested() -> None:
    assert {case[1] for case in CASES} == set(events.all_events())


def test_every_event_explains_itself() -> None:
    for name, event in events.all_events().items():
        assert event.name == name
        function = next(key for key, value in vars(events).items() if value is event)
        assert function in events.__all__
        described = inspect.getdoc(event)
        assert described
        assert described != inspect.getdoc(DomainEvent)
        assert "durable" in inspect.signature(event).parameters
        assert "**" not in str(inspect.signature(event))
        assert repr(event) == f"<event {name}, retention {event.retention}>"


def test_sync_records_the_same() -> None:
    with recorded() as records:
        asyncio.run(events.key_used("k", purpose="sign", actor="alice", durable=True))
        events.key_used.sync("k", purpose="sign", actor="alice", durable=True)
    first, second = records
    assert (first.event, first.actor["user.id"], first.target) == (second.event, second.actor["user.id"], second.target)


def test_forgotten_await_is_told() -> None:
    with recorded() as records, pytest.warns(RuntimeWarning, match="never awaited"):
        events.signed_in("alice")  # type: ignore[unused-coroutine]
    records.none()


def one_inside_a_request(call: Call, **who: Any) -> tuple[Recorded, Recorded]:
    """The record of what `call` says inside a request by `root`, and that of the request."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if who:
            set_actor(**who)
        await call()
        await answering()(scope, receive, send)

    with recorded() as records:
        asyncio.run(exchange(AuditMiddleware(app, service="web", directory="never-made")))
    request = records.one(event="http.request")
    (event,) = (record for record in records if record is not request)
    return event, request


def test_actor_is_the_requests_own() -> None:
    event, request = one_inside_a_request(
        lambda: events.role_changed("bob", before=[], after=["admin"]), id="root", roles=("admin",), tenant="acme"
    )
    assert (event.user, event.actor_kind, event.target_id) == ("root", "user", "bob")
    assert event.actor["user.roles"] == ["admin"]
    assert event.actor["pxl.tenant.id"] == "acme"
    assert event.request_id == request.request_id
    assert event.service == request.service == "web"


def test_sign_in_names_who_it_is_from_now_on() -> None:
    event, _ = one_inside_a_request(lambda: events.signed_in(Actor("alice", auth_method="mtls", roles=("r",))))
    assert (event.user, event.actor_kind, event.target_id) == ("alice", "user", "alice")
    assert (event.actor["pxl.auth.method"], event.actor["user.roles"]) == ("mtls", ["r"])


@pytest.mark.parametrize("claimed", ["alice", None])
def test_failed_sign_in_is_nobody(claimed: str | None) -> None:
    """What was claimed is kept apart from what was proved, also where somebody else is signed in."""
    event, _ = one_inside_a_request(lambda: events.sign_in_failed(claimed), id="root")
    assert (event.user, event.attempted_user, event.actor_kind) == (None, claimed, "anonymous")


def test_service_acts() -> None:
    event, _ = one_inside_a_request(lambda: events.deployed("1.0", actor=Actor("ci", kind="service")))
    assert (event.user, event.actor_kind) == ("ci", "service")


def test_outside_of_a_request_the_system_acts() -> None:
    with recorded() as records:
        events.config_changed.sync("x", after=1)
    assert records.one(event="config.changed").actor_kind == "system"


def test_wrong_values_are_refused() -> None:
    with recorded() as records:
        with pytest.raises(UsageError, match="unpaired surrogate"):
            events.exported.sync("\ud800")
        with pytest.raises(UsageError, match="outcome='maybe'"):
            events.exported.sync("users", outcome="maybe")  # type: ignore[arg-type]
    records.none()


def test_without_an_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pxl_audit.recorder._recorders", {})
    with pytest.raises(UnavailableError, match="wrap the application"):
        events.signed_in.sync("alice")


def test_through_log_and_vault(tmp_path: Path) -> None:
    """The real way: on the disk when the call returns, in the vault with its class; the name alone in the log."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await events.sign_in_failed("alice", reason="wrong_password", durable=True)
        await answering(401)(scope, receive, send)

    directory = tmp_path / "d"
    asyncio.run(exchange(AuditMiddleware(app, service="web", directory=directory, embedded_agent=False)))
    drained(directory)
    data = DataDirectory.open(directory)
    (row,) = (row for row in rows(data, 0, 1 << 40) if row.event == "auth.login_failed")
    assert (row.outcome, row.retention, row.actor_kind, row.service) == ("failure", "security", "anonymous", "web")
    assert json.loads(row.actor.text or "")["pxl.attempted_user.id"] == "alice"
    assert json.loads(row.target.text or "")["pxl.attributes"] == {"reason": "wrong_password"}
    assert all(b"alice" not in path.read_bytes() for path in data.log.rglob("*") if path.is_file())


def test_whoever_is_named_stands_alone() -> None:
    """Tenant, roles and claims of the request's own user say nothing about another actor."""
    event, _ = one_inside_a_request(
        lambda: events.signed_in("alice"),
        id="root",
        roles=("admin",),
        tenant="acme",
        auth_method="mtls",
        attempted=True,
    )
    assert event.actor.keys() == {"pxl.request.id", "pxl.time_us", "user.id"}
