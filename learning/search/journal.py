"""Optuna's journal in a file, whose lock dies with its holder and which waits for the disk once a trial."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState


class Journal(JournalFileBackend):
    """A line for each operation, as Optuna writes them: any `JournalFileBackend` reads the file.

    A kill loses nothing that was written; a power cut, nothing of a trial that was told. The lock is the kernel's, on
    the file itself: it costs a hundredth of a lock file, of which each trial would take a dozen.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(str(path))
        self._mend()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations; returns once the disk has them where they end a trial."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            file.write(lines.encode())
            file.flush()
            if any(TrialState(log["state"]).is_finished() for log in logs if "state" in log):
                os.fsync(file.fileno())

    def _mend(self) -> None:
        """Cut off a last line that a kill left unfinished: nothing after it could be read."""
        with self._path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
