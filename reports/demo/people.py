"""The twenty users of the demo. Nobody in it exists; each has values that occur nowhere else, so that traces show."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

_NAMES = """
Maya Okafor, Jonas Lindqvist, Aiko Tanabe, Rafael Monteiro, Zofia Wrona, Tariq Haddad, Ingrid Solberg, Mateo Quispe,
Priya Raman, Ewan McBride, Lucia Ferrante, Anton Dvorsky, Naledi Mokoena, Felix Brandner, Hana Kovarik, Omar Benali,
Siiri Laine, Dmitri Orlenko, Clara Fontaine, Ravi Jayasuriya
"""


@dataclass(frozen=True)
class Person:
    """One user: how they sign in, where they come from, and with which program."""

    id: str
    name: str
    token: str
    address: str
    """An address of the loopback network of its own (127.31.0.101 and on)."""
    user_agent: str


def invent_people() -> list[Person]:
    """Twenty users with fresh tokens."""
    return [
        Person(
            id=name.lower().replace(" ", "."),
            name=name,
            token=secrets.token_urlsafe(24),
            address=f"127.31.0.{101 + number}",
            user_agent=f"prover-cli/2.{number} (build {secrets.token_hex(6)})",
        )
        for number, name in enumerate(name.strip() for name in _NAMES.split(","))
    ]


def visitor() -> Person:
    """Somebody without a token."""
    return Person("", "", secrets.token_urlsafe(24), "127.31.0.200", "port-scan/0.9")


def token_file(people: list[Person]) -> dict[str, dict[str, object]]:
    """What the gateway reads from GATEWAY_TOKENS."""
    return {person.token: {"id": person.id, "name": person.name, "roles": ["prover"]} for person in people}
