"""The embedded agent: `python -m pxl_audit.agent --data DIR`. An operator uses `pxl-audit agent run` instead."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pxl_audit.agent.logs import configure_logs
from pxl_audit.agent.process import run_agent
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import AuditError, BusyError
from pxl_audit.settings import load_settings


def main() -> int:
    """Run until no writer is left. Losing the race for the lock is no error: somebody else is the agent."""
    parser = argparse.ArgumentParser(prog="python -m pxl_audit.agent")
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    os.umask(0o077)
    configure_logs()
    try:
        settings = load_settings(None, os.environ)
        run_agent(DataDirectory.open(args.data), settings=settings.agent, environ=os.environ, embedded=True)
    except BusyError:
        return 0
    except (AuditError, OSError) as error:
        print(f"pxl-audit: agent: {error}", file=sys.stderr)  # noqa: T201  # its standard error is agent.log
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
