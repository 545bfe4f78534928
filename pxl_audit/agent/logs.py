"""The agent's own log: JSON lines on standard error, without personal data."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Time (UTC with offset), level, logger, message; an exception's class but never its text."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line)


def configure_logs(level: int = logging.INFO) -> None:
    """Send the `pxl_audit` loggers to standard error as JSON lines, and nowhere else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("pxl_audit")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
