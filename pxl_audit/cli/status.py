"""`pxl-audit status`: how the log stands, at a glance and for monitoring."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pxl_audit.cli.command import EXIT_GOOD, Command, add_data_option, add_json_option, data_directory, examples


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show how the log stands: records, agent, writers, what waits in the spool, how far sinks have been delivered."
    )
    parser.epilog = examples("pxl-audit status --data var/audit", "pxl-audit status --json | jq .records")
    add_data_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from pxl_audit.status import read_status

    root: Path = data_directory(args)
    status = read_status(root)
    if args.json:
        print(json.dumps(asdict(status)))
        return EXIT_GOOD
    print(f"log          {status.origin or '(none yet)'}")
    print(f"records      {status.records} covered by the checkpoint of {status.checkpoint_time or '(none yet)'}")
    print(f"agent        {'running' if status.agent_running else 'not running'}")
    print(f"writers      {status.writers} alive, {status.spool_bytes} bytes in the spool")
    print(f"vault        {status.sealed_files} sealed files, {status.open_bytes} bytes open")
    for sink, position in status.sinks.items():
        print(f"sink         {sink}: delivered up to record {position}, {max(0, status.records - position)} to go")
    if not status.agent_running and status.spool_bytes:
        print(f"Next: records wait in the spool and no agent runs. Start one: pxl-audit agent run --data {root}")
    else:
        print(f"Next: pxl-audit verify {root}")
    return EXIT_GOOD


COMMAND = Command("status", "how the log stands: records, agent, writers, sinks", _configure)
