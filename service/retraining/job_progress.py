"""What a job's training tells of itself, line by line in a file, written down in the ledger as it comes.

Of the epochs of one look the last is written down: small networks have hundreds in a second.
"""

import json
from pathlib import Path

from data.training_runs import TrainingRuns
from service.retraining.job_states import is_stage
from service.training.progress import EpochRecord

PIECE = 2**16
STAGES = ("validating", "training")


class Follower:
    """Reads on where it stopped. An epoch, or a stage, that an interrupted training told before is told once."""

    def __init__(self, runs: TrainingRuns, run_id: str, path: Path) -> None:
        self._runs, self._run_id, self._path = runs, run_id, path
        self._read, self._rest = 0, b""
        epochs = [event.payload["metrics"]["epoch"] for event in runs.events(run_id) if event.kind == "epoch"]
        self._epoch = max(epochs, default=0)

    def read_on(self) -> None:
        """Write down what is new."""
        latest: tuple[EpochRecord, int] | None = None
        while piece := self._piece():
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                latest = self._tell(line) or latest
        if latest is not None:
            self._tell_epoch(*latest)

    def tell_stage(self, stage: str, reason: str | None = None) -> None:
        """The job has come to a stage, unless it was there last."""
        stages = [event for event in self._runs.events(self._run_id) if event.kind == "stage"]
        if not stages or not is_stage(stages[-1], stage):
            self._runs.append(self._run_id, "stage", {"stage": stage, "reason": reason})

    def _piece(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                piece = file.read(PIECE)
        except FileNotFoundError:
            return b""
        self._read += len(piece)
        return piece

    def _tell(self, line: bytes) -> tuple[EpochRecord, int] | None:
        """Write down a stage, or return an epoch. A child is believed only as far as it says what it should."""
        try:
            said = json.loads(line)
            if said.get("stage") in STAGES:
                self.tell_stage(said["stage"])
            return (EpochRecord.model_validate(said["epoch"]), int(said["total_epochs"])) if "epoch" in said else None
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            return None

    def _tell_epoch(self, metrics: EpochRecord, total: int) -> None:
        if metrics.epoch > self._epoch:
            self._epoch = metrics.epoch
            payload = {"metrics": metrics.model_dump(), "total_epochs": total}
            self._runs.append(self._run_id, "epoch", payload)
