"""Structured logs: one JSON object a line. What a request carries is never in them, only where it went."""

import asyncio
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

GATHER_SECONDS = 0.2
AUDIT_FILES, AUDIT_BYTES = 20, 10_000_000
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, logger, event, and what was given beside it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; of entries that were gathered one each."""
        gathered: list[dict[str, Any]] | None = getattr(record, "gathered", None)
        if gathered is not None:
            said = {"level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
            return "\n".join(_line({"at": "", **said, **entry} | {"at": _moment(entry["at"])}) for entry in gathered)
        at = _moment(record.created)
        given = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        entry: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        entry |= {"event": record.getMessage(), **given}
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return _line(entry)


def _line(entry: dict[str, Any]) -> str:
    return orjson.dumps(entry, default=str).decode()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Gathered:
    """Lines that are written a few times a second, together: one by itself takes longer than most predictions."""

    def __init__(self, logger: logging.Logger, event: str) -> None:
        self._logger, self._event = logger, event
        self._entries: list[dict[str, Any]] = []

    def note(self, entry: dict[str, Any]) -> None:
        """Take an entry; at: when it was, in seconds since 1970."""
        self._entries.append(entry)

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        try:
            while True:
                await asyncio.sleep(GATHER_SECONDS)
                self._write()
        finally:
            self._write()

    def _write(self) -> None:
        entries, self._entries = self._entries, []
        if entries:
            self._logger.info(self._event, extra={"gathered": entries})


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
