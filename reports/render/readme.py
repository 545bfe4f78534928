"""README.md of a pack: what an auditor reads first."""

from __future__ import annotations

from compliance.checks.judgement import STATE_MEANING
from compliance.controls import LEVEL_MEANING
from reports.model import ReportModel
from reports.render.visible import visible

_FILES = """\
| file | what it is |
| --- | --- |
| `report.html` | the report; one file, no script, opens without a network |
| `model.json` | everything the report says, as data; the HTML page is made from it alone |
| `populations/*.jsonl` | every item of a kind, exact; one JSON object a line |
| `populations/*.csv` | the same rows, made safe for spreadsheets |
| `ipe/*.json` | a card for each population: query, its SHA-256, parameters, filters, rows, first and last leaf |
| `checkpoints/*.txt` | the signed size and root of each log at the time of the report |
| `keys/*.vkey` | the key that verifies the checkpoint of the same name |
| `manifest.json` | size and SHA-256 of every file |
| `manifest.note` | a signed note over the digest of `manifest.json` |
"""

_VERIFY = """\
## How to verify, offline

1. Get the log's key (a line that begins with its name) from elsewhere than this pack, and run

       pxl-audit report verify PACK --key 'KEY'

   Without `--key` the key in the pack is used. That shows only that nothing was altered since that key signed it.
2. By hand: the digest in `manifest.note` is that of `manifest.json` (`sha256sum manifest.json`), and the digests in
   `manifest.json` are those of the files. The note is a signed note (https://c2sp.org/signed-note, Ed25519); so are the
   checkpoints (https://c2sp.org/tlog-checkpoint). Go's `golang.org/x/mod/sumdb/note` opens both.
3. Compare the checkpoints with those of earlier packs, and with copies kept by others: a log only grows.
4. Where the data directory may be read, `pxl-audit verify DIR` checks the whole log and every record.
5. Take any row of a population: `index` is its leaf in the log.
"""


def render_readme(model: ReportModel) -> bytes:
    """The text, as UTF-8."""
    period = model.period
    logs = "\n".join(f"* `{visible(log.origin)}`: {log.size} leaves, root `{log.root}`" for log in model.logs)
    frameworks = "\n".join(f"* {one.name}, {one.edition}: {len(one.controls)} controls" for one in model.frameworks)
    states = "\n".join(f"* `{state}`: {meaning}" for state, meaning in STATE_MEANING.items())
    levels = "\n".join(f"* `{level}`: {meaning}" for level, meaning in LEVEL_MEANING.items())
    limits = "\n".join(f"* {visible(limit)}" for limit in model.limits)
    return f"""\
# {visible(model.title)}{" (to date)" if period.to_date else ""}

{model.disclaimer}

Period: {period.start} up to, not including, {period.end}. Built {model.built} by {model.software.name} \
{model.software.version}.

{model.summary.statement}

Logs, as they stood when the report was built:

{logs}

Frameworks (titles of controls are our own words):

{frameworks}

## What is in it

{_FILES}
There is no personal data in this pack: only what the log itself holds, never an opening of the vault. It stays valid
when a person is erased later.

{_VERIFY}
## States of controls

{states}

## Levels of evidence

{levels}

## Limits

{limits}
""".encode()
