"""Text of strangers, made visible: what a reader cannot see must not change what a page says."""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Controls, formats (with bidirectional controls and zero-width characters), unassigned, private use, surrogates,
separators."""


def visible(text: str) -> str:
    """The text with every invisible character as `⟨U+202E⟩`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(character):04X}⟩" if unicodedata.category(character) in _HIDDEN else character for character in text
    )
