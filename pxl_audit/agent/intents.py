"""Intents that have no completion yet: by writer, the sequence number of the intent and its leaf index.

They are kept in the commit lines of the open vault, so that a killed agent forgets none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from pxl_audit.event import make_event

Open = dict[str, dict[str, int]]


class Intents:
    """Open intents, as they change while a batch is sequenced."""

    def __init__(self, open_: Mapping[str, Mapping[str, int]]) -> None:
        self._open: Open = {writer: dict(numbers) for writer, numbers in open_.items()}

    def begun(self, writer: str, seq: int, index: int) -> None:
        """An intent got its index."""
        self._open.setdefault(writer, {})[str(seq)] = index

    def completed(self, writer: str, seq: int) -> int | None:
        """Leaf index of the intent that a completion names; it is not open any more."""
        numbers = self._open.get(writer, {})
        index = numbers.pop(str(seq), None)
        if not numbers:
            self._open.pop(writer, None)
        return index

    def unfinished(self, writer: str, service: str) -> list[bytes]:
        """Events that close what a writer that is no more left open: whether there was an effect, nobody knows."""
        indexes = sorted(self._open.pop(writer, {}).values())
        now_us = time.time_ns() // 1000
        return [
            make_event(
                "http.request.unfinished",
                service=service or "unknown",
                time_us=now_us,
                outcome="unknown",
                facts={"intent": index, "writer": writer},
            )
            for index in indexes
        ]

    def copy(self) -> Open:
        """For a commit line."""
        return {writer: dict(numbers) for writer, numbers in self._open.items()}
