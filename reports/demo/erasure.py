"""One person asks to be forgotten: the request goes through all its steps in each data directory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from reports.demo.commands import run_command
from reports.demo.people import Person

CLERK, OFFICER = "privacy-desk", "data-protection-officer"


@dataclass(frozen=True)
class Erased:
    """What one data directory was asked to forget, and did."""

    request: str
    actor_parts: int
    target_parts: int
    verdict: str


def subject_lines(person: Person) -> str:
    """What the person is known by. The address and the program of the demo's users are theirs alone."""
    return f"user.id={person.id}\nclient.address={person.address}\nuser_agent.original={person.user_agent}\n"


def erase(data: Path, subject_file: Path, received: date) -> Erased:
    """Open, plan, approve (by somebody else), execute, verify.

    Raises:
        FoundBadError: a step did not end well.
    """
    where = ("--data", str(data), "--json")
    opened = run_command(
        *("dsr", "open", "--subject-file", str(subject_file), "--ground", "b"),
        *("--received", received.isoformat(), "--as", CLERK, *where),
    ).answer()
    request = str(opened["request"])
    plan = str(run_command("dsr", "plan", request, *where).answer()["plan"])
    run_command("dsr", "approve", request, "--as", OFFICER, "--plan", plan, *where).answer()
    done = run_command("dsr", "execute", request, "--as", CLERK, "--confirm", request, *where).answer()
    verified = run_command("dsr", "verify", request, *where).answer()
    return Erased(request, _count(done["actor_parts"]), _count(done["target_parts"]), _verdict(verified))


def _count(value: object) -> int:
    return value if isinstance(value, int) else -1


def _verdict(verified: dict[str, object]) -> str:
    erasures = verified.get("erasures")
    if not isinstance(erasures, list) or len(erasures) != 1 or not isinstance(erasures[0], dict):
        return "unknown"
    return str(erasures[0].get("verdict"))
