"""The independent verifier: a second implementation of docs/format.md that shares no code with what writes a directory.

::

    directory     which directory, key and checkpoint
    note          signed notes and checkpoints
    paths, tree   tlog-tiles names and RFC 6962 hashes
    entry         the leaf, strictly
    log_walk      all entries and tiles against the checkpoint
    sealed, open_vault, vault_rows   the rows of the vault, in order
    parts, openings   rows against leaves, openings against commitments
    erasures, ledger  what was destroyed against what was announced
    second_look, strays   differences by name, overlaps, files that should not be there
    run           all of that, once over a directory that may be in use
"""

from __future__ import annotations

from pxl_audit.verify.report import Erasure, Finding, Report
from pxl_audit.verify.run import verify_directory

__all__ = ["Erasure", "Finding", "Report", "verify_directory"]
