"""What a failed assertion about records says: what was asked for, and the record that comes nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_SHOWN = 5


@dataclass(frozen=True)
class Difference:
    """One member of a record beside what was asked for."""

    name: str
    found: object
    wanted: object

    @property
    def wrong(self) -> bool:
        """Whether they differ."""
        return self.found != self.wanted

    def line(self, width: int) -> str:
        """A line of a report; `!` marks a difference."""
        if self.wrong:
            return f"  ! {self.name:{width}}  {self.found!r}, wanted {self.wanted!r}"
        return f"    {self.name:{width}}  {self.found!r}"


def explain_missing(wanted: Mapping[str, object], compared: Sequence[Sequence[Difference]]) -> str:
    """`compared`: for every record the comparison of each wanted member."""
    head = f"expected one record {_with(wanted)}; "
    if not compared:
        return head + "nothing was recorded"
    number, nearest = _nearest(compared)
    width = max(len(difference.name) for difference in nearest)
    lines = [f"{head}none of the {len(compared)} matches", f"nearest is number {number} of {len(compared)}:"]
    return "\n".join([*lines, *(difference.line(width) for difference in nearest)])


def explain_surplus(expected: str, wanted: Mapping[str, object], found: Sequence[object]) -> str:
    """`found`: the records that match, at least one more than expected."""
    lines = [f"expected {expected} {_with(wanted)}; found {len(found)}:"]
    lines += [f"  {record!r}" for record in found[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        lines.append(f"  and {len(found) - MOST_SHOWN} more")
    return "\n".join(lines)


def _nearest(compared: Sequence[Sequence[Difference]]) -> tuple[int, Sequence[Difference]]:
    """The record with the fewest differences; one of another event only if there is no better; the latest of equals."""

    def distance(differences: Sequence[Difference]) -> tuple[bool, int]:
        wrong = [difference.name for difference in differences if difference.wrong]
        return "event" in wrong, len(wrong)

    best = min(range(len(compared) - 1, -1, -1), key=lambda index: distance(compared[index]))
    return best + 1, compared[best]


def _with(wanted: Mapping[str, object]) -> str:
    if not wanted:
        return "in all"
    return "with " + ", ".join(f"{name}={value!r}" for name, value in wanted.items())
