"""`pxl-audit agent run`: be the agent of a data directory in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pxl_audit.cli.command import EXIT_GOOD, Command, add_data_option, data_directory, examples


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = examples(
        "pxl-audit agent run --data var/audit", "ELASTICSEARCH_URL=http://127.0.0.1:9200 pxl-audit agent run"
    )
    subparsers = parser.add_subparsers(metavar="ACTION", required=True)
    run = subparsers.add_parser(
        "run",
        help="move spools into log and vault, sign checkpoints, ship; until SIGTERM",
        description=(
            "Be the agent of a data directory until SIGTERM: give records their index, sign checkpoints, "
            "seal the vault, and ship to Elasticsearch where ELASTICSEARCH_URL is set. "
            "Services then use embedded_agent=False."
        ),
        epilog=examples("pxl-audit agent run --data var/audit", "pxl-audit agent run --config /etc/pxl-audit.toml"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_option(run)
    run.add_argument("--config", metavar="FILE", type=Path, help="TOML file with settings (default: $PXL_AUDIT_CONFIG)")
    run.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from pxl_audit.agent.logs import configure_logs
    from pxl_audit.agent.process import run_agent
    from pxl_audit.directory import DataDirectory
    from pxl_audit.settings import load_settings

    settings = load_settings(args.config, os.environ)
    directory = DataDirectory.open_or_create(data_directory(args))
    configure_logs()
    print(f"agent of {directory.root} runs; stop it with Ctrl-C or SIGTERM", file=sys.stderr)
    run_agent(directory, settings=settings.agent, environ=os.environ, embedded=False)
    print(f"agent ended in order; check the log with: pxl-audit verify {directory.root}", file=sys.stderr)
    return EXIT_GOOD


COMMAND = Command("agent", "run the agent: the process that orders, signs and ships the records", _configure)
