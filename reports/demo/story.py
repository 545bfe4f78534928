"""The steps of the demo, in their order, and everything that has to hold in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UnavailableError
from pxl_audit.files import is_locked
from reports.demo.commands import Finished, plain_environment, run_command
from reports.demo.driver import SLOW_AT_THE_KILL, Drive, Driver
from reports.demo.erasure import Erased, erase, subject_lines
from reports.demo.people import Person, invent_people, token_file, visitor
from reports.demo.processes import HOST, Service, stopped_on_signals
from reports.demo.reconciliation import Check, Core, Gateway, reconcile_core, reconcile_gateway
from reports.demo.records import Records, read_records
from reports.demo.traces import count_traces
from reports.demo.workload import Workload, kinds
from reports.demo.workplace import SERVICES, Workplace, workplace

SEED = 20261123
FRAMEWORKS = "gdpr,soc2,iso27001"
SETTLE_SECONDS = 1.5
"""Longer than the agent takes to publish: a log that has not grown for this long has everything."""
DRAIN_SECONDS = 45.0

Say = Callable[[str], None]


@dataclass
class Told:
    """What the demo found."""

    requests: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    gateway: Gateway | None = None
    core: Core | None = None
    killed_worker_replaced_by: str = ""
    records: dict[str, int] = field(default_factory=dict)
    erased: dict[str, Erased] = field(default_factory=dict)
    traces_before: dict[str, int] = field(default_factory=dict)
    traces_after: dict[str, int] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> list[Check]:
        """What does not hold."""
        return [check for check in self.checks if not check.holds]


def tell(out: Path, requests: int, say: Say, progress: Say) -> Told:
    """Run the whole story below `out`. `say` gets a line a step, `progress` lines that replace one another.

    Raises:
        AuditError: a step could not be done at all.
    """
    _need_parts()
    with stopped_on_signals(), workplace(out) as place, tempfile.TemporaryDirectory(prefix="pxl-audit-demo-") as secret:
        return _Story(place, Path(secret), say, progress).tell(requests)


def _need_parts() -> None:
    try:
        import httpx  # noqa: F401, PLC0415  # optional parts
        import starlette  # noqa: F401, PLC0415
        import uvicorn  # noqa: F401, PLC0415
    except ImportError as error:
        raise UnavailableError(
            f"the demo needs {error.name}: install pxl-audit with its extra demo (pip install 'pxl-audit[all]')"
        ) from None


class _Story:
    def __init__(self, place: Workplace, secret: Path, say: Say, progress: Say) -> None:
        self._place, self._secret, self._say, self._progress = place, secret, say, progress
        self._told = Told()
        self._people = invent_people()
        self._leaving = self._people[6]

    def tell(self, requests: int) -> Told:
        begun = time.monotonic()
        with self._services() as (gateway, core):
            drive = self._drive(gateway, core, requests)
            self._reconcile(drive)
            self._erase()
            self._build_pack()
            self._verify("while the services run")
        self._wait_for_agents()
        self._verify("after the services stopped")
        self._look_for_traces()
        self._told.seconds = round(time.monotonic() - begun, 1)
        self._place.save(summary(self._told))
        return self._told

    @contextlib.contextmanager
    def _services(self) -> Iterator[tuple[Service, Service]]:
        self._say("starting gateway and core, two workers each")
        tokens = self._secret / "tokens.json"
        tokens.write_text(json.dumps(token_file(self._people)), encoding="utf-8")
        common = plain_environment() | {"PXL_CORE_KEY": secrets.token_urlsafe(24)}
        core = Service(
            "pxl_core",
            common
            | {"PXL_AUDIT_DATA": str(self._place.data("core")), "PXL_CORE_FAULTS": "1", "PXL_CORE_WORKERS": "12"},
            self._place.logs / "core.log",
        )
        gateway = Service(
            "gateway",
            common
            | {
                "PXL_AUDIT_DATA": str(self._place.data("gateway")),
                "PXL_CORE_URL": core.url,
                "GATEWAY_TOKENS": str(tokens),
            },
            self._place.logs / "gateway.log",
        )
        try:
            core.start()
            gateway.start()
            core.wait_ready()
            gateway.wait_ready()
            yield gateway, core
            self._say("stopping the services")
        finally:
            gateway.stop()
            core.stop()

    def _drive(self, gateway: Service, core: Service, requests: int) -> Drive:
        workload = Workload(self._people, visitor(), self._leaving, SEED)
        slow = [workload.slow() for _ in range(SLOW_AT_THE_KILL)]
        asks = workload.asks(max(0, requests - len(slow)))
        total = len(asks) + len(slow)
        self._say(f"{total} requests from {len(self._people)} users; gateway {gateway.url}, core {core.url}")
        killed: list[int] = []

        def kill() -> None:
            killed.append(gateway.kill_worker())
            self._say(f"SIGKILL to gateway worker {killed[0]}, requests under way")

        driver = Driver(HOST, gateway.port, lambda done: self._progress(f"{done} of {total} requests"))
        drive = asyncio.run(driver.run(asks, slow, kill))
        by_supervisor = gateway.wait_restarted(killed[0])
        self._told.killed_worker_replaced_by = "uvicorn's supervisor" if by_supervisor else "a restart of the service"
        self._say(f"the killed worker was replaced by {self._told.killed_worker_replaced_by}")
        self._told.requests = dict(kinds(asks + slow))
        for outcome in drive.outcomes:
            status = str(outcome.status or "no response")
            self._told.statuses[status] = self._told.statuses.get(status, 0) + 1
        surprises = list(drive.surprises())
        self._check(
            "every response is the one that the request must get",
            not surprises,
            "; ".join(sorted(set(surprises))[:3]) or f"{len(drive.answered)} responses",
        )
        return drive

    def _reconcile(self, drive: Drive) -> None:
        self._say("waiting until both logs have everything")
        gateway, core = self._drained(drive)
        self._told.gateway = reconcile_gateway(drive, gateway, core)
        self._told.core = reconcile_core(drive, core)
        stops = gateway.unclean_stops
        self._check("exactly the killed worker is recorded as an unclean stop", stops == 1, f"{stops} recorded")
        gaps = gateway.gaps + core.gaps
        self._check("neither log records a gap", gaps == 0, f"{gaps} gaps")
        self._told.checks += [*self._told.gateway.checks(), *self._told.core.checks()]
        self._told.traces_before = self._traces()
        before = self._told.traces_before
        stored = all(before[name] for name in ("user id", "address", "program"))
        self._check("the person stands in the data before the erasure", stored, _counts(before))
        self._check("tokens are never recorded", before["token"] == 0, f"{before['token']}")

    def _drained(self, drive: Drive) -> tuple[Records, Records]:
        """Both logs, once they have stopped growing and everything adds up, or when waiting longer makes no sense."""
        deadline = time.monotonic() + DRAIN_SECONDS
        size = -1
        while True:
            gateway, core = (read_records(self._place.data(service)) for service in SERVICES)
            grown, size = gateway.size + core.size != size, gateway.size + core.size
            checks = (*reconcile_gateway(drive, gateway, core).checks(), *reconcile_core(drive, core).checks())
            complete = gateway.unclean_stops > 0 and all(check.holds for check in checks)
            if (complete and not grown) or time.monotonic() > deadline:
                self._told.records = {"gateway": gateway.size, "core": core.size}
                return gateway, core
            time.sleep(SETTLE_SECONDS)

    def _erase(self) -> None:
        subject = self._secret / "subject.txt"
        subject.write_text(subject_lines(self._leaving), encoding="utf-8")
        for service in SERVICES:
            self._say(f"one of the users asks to be forgotten: {service}")
            erased = erase(self._place.data(service), subject, datetime.now(UTC).date())
            self._told.erased[service] = erased
            parts = f"{erased.actor_parts} actor and {erased.target_parts} target parts, {erased.verdict}"
            holds = erased.verdict == "good" and erased.actor_parts > 0
            self._check(f"the erasure in {service} is verified", holds, parts)
        targets = self._told.erased["gateway"].target_parts
        self._check("others' records that name the person are covered", targets > 0, f"{targets} target parts")
        subject.unlink()

    def _build_pack(self) -> None:
        period = current_quarter(datetime.now(UTC))
        self._say(f"building the evidence pack for {period}")
        data = [word for service in SERVICES for word in ("--data", str(self._place.data(service)))]
        pack = str(self._place.pack)
        self._must("report", "build", "--framework", FRAMEWORKS, "--period", period, *data, "--out", pack)
        self._must("report", "verify", pack)

    def _verify(self, when: str) -> None:
        self._say(f"verifying both logs {when}")
        for service in SERVICES:
            self._must("verify", str(self._place.data(service)), note=f" {when}")

    def _wait_for_agents(self) -> None:
        self._say("waiting for the agents to drain and end")
        locks = [DataDirectory.open(self._place.data(service)).agent_lock for service in SERVICES]
        deadline = time.monotonic() + DRAIN_SECONDS
        while (busy := any(is_locked(lock) for lock in locks)) and time.monotonic() < deadline:
            time.sleep(0.1)
        self._check("the agents ended by themselves", not busy, "still at work" if busy else "agent.lock is free")
        stops = [read_records(self._place.data(service)).unclean_stops for service in SERVICES]
        self._check("every other worker ended in order", stops == [1, 0], f"unclean stops: {stops[0]} and {stops[1]}")

    def _look_for_traces(self) -> None:
        self._say("looking for the erased person, in every byte")
        after = self._told.traces_after = self._traces()
        self._check("the erased person stands nowhere any more", not any(after.values()), _counts(after))

    def _traces(self) -> dict[str, int]:
        person: Person = self._leaving
        values = {
            "user id": person.id,
            "token": person.token,
            "address": person.address,
            "program": person.user_agent,
        }
        return count_traces(self._place.root, values)

    def _must(self, *words: str, note: str = "") -> Finished:
        finished = run_command(*words)
        self._told.commands.append(str(finished))
        said = (finished.errors.strip() or finished.output.strip() or "nothing").splitlines()
        found = f"exit code {finished.exit_code}" + ("" if finished.exit_code == 0 else f": {said[-1]}")
        subject = Path(words[-1]).name
        self._check(
            f"pxl-audit {' '.join(words[: 2 if words[0] == 'report' else 1])} {subject}{note}",
            finished.exit_code == 0,
            found,
        )
        return finished

    def _check(self, name: str, holds: bool, found: str) -> None:  # noqa: FBT001  # the verdict is what a check is about
        self._told.checks.append(Check(name, holds, found))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def current_quarter(now: datetime) -> str:
    """The quarter as `--period` takes it: 2026-Q4."""
    return f"{now.year}-Q{(now.month + 2) // 3}"


def summary(told: Told) -> dict[str, object]:
    """All of it as JSON; names nobody."""
    gateway, core = told.gateway, told.core
    return {
        "ok": not told.failed,
        "seconds": told.seconds,
        "requests": told.requests,
        "statuses": dict(sorted(told.statuses.items())),
        "gateway": None if gateway is None else dict(gateway.table()) | {"requests made": gateway.sent},
        "core": None if core is None else {name.strip(): count for name, count in core.table()},
        "records": told.records,
        "killed_worker_replaced_by": told.killed_worker_replaced_by,
        "erased": {service: vars(erased) for service, erased in told.erased.items()},
        "traces_before": told.traces_before,
        "traces_after": told.traces_after,
        "commands": told.commands,
        "checks": [vars(check) for check in told.checks],
    }
