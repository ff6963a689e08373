"""Structured logs: one JSON object a line. What a request carries is never in them, only where it went."""

import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

AUDIT_FILES, AUDIT_BYTES = 20, 10_000_000
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, logger, event, and what was given beside it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        given = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        entry: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        entry |= {"event": record.getMessage(), **given}
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


def log_to(audit: Path) -> None:
    """Log to standard error, and what is audited also to a file of its own; the latest 200 MB of it are kept."""
    audit.parent.mkdir(parents=True, exist_ok=True)
    shown, kept = logging.StreamHandler(), RotatingFileHandler(audit, maxBytes=AUDIT_BYTES, backupCount=AUDIT_FILES)
    for handler in (shown, kept):
        handler.setFormatter(JsonLines())
    for name, handlers in (("lehr", [shown]), ("lehr.audit", [kept]), ("uvicorn", [shown])):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = list[logging.Handler](handlers), False
        logger.setLevel(logging.INFO)
