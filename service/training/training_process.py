"""One training, in a process of its own: `python -m service.training.training_process RUN_ID PARENT`.

It ends with its parent: the kernel then sends SIGTERM, which pauses the training at its next batch.
"""

import ctypes
import gc
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from data.files import write_whole
from data.training_runs import TrainingRuns
from deployments.settings import Settings

PREFIX = "epoch_training"
PR_SET_PDEATHSIG = 1
LOCK_SECONDS = 60
CHECKPOINT_SECONDS = 2.0


def folder_of(settings: Settings, run_id: str) -> Path:
    """Where a training keeps its checkpoints, its log and its model."""
    return settings.home / "epoch-training" / run_id


def model_of(settings: Settings, run_id: str) -> Path:
    """The trained model; it is there once the run is completed."""
    return folder_of(settings, run_id) / "model.onnx"


def log_of(settings: Settings, run_id: str) -> Path:
    """What the process wrote."""
    return folder_of(settings, run_id) / "log.txt"


def train(settings: Settings, run_id: str) -> None:
    """Train as the run's configuration says, from its last checkpoint, unless something else is wanted of it by now."""
    runs = TrainingRuns(settings.ledger_url, lambda: datetime.now(UTC))
    with FileLock(folder_of(settings, run_id) / "lock", timeout=LOCK_SECONDS):
        run = runs.get(run_id)
        if run.state == "running":  # whoever said so is dead: the lock is ours
            runs.change_state(run_id, "paused", "its process ended")
        if not run.finished and run.desired == "run":
            _train(settings, runs, run_id, run.config)


def _train(settings: Settings, runs: TrainingRuns, run_id: str, config: dict[str, Any]) -> None:
    # Imported late: torch takes seconds, in which nothing is lost where the process is told to end.
    from deployments.training import Trained, train_run
    from learning.control import ShortCollections, pause_on_sigterm
    from learning.resume import Checkpoints
    from service.training.epoch_data import output_of, read_data

    def deliver(trained: Trained) -> None:
        for path in (model_of(settings, run_id), output_of(settings, run_id, config)):
            if path is not None:
                write_whole(path, trained.onnx)
        runs.append(run_id, "scores", {"scores": trained.scores})

    try:
        data = read_data(settings, config)
    except ValueError as error:
        runs.change_state(run_id, "failed", str(error))
        return
    checkpoints = Checkpoints(folder_of(settings, run_id) / "checkpoints", CHECKPOINT_SECONDS)
    with pause_on_sigterm() as control:
        train_run(data, runs, run_id, checkpoints, deliver, [control, ShortCollections()])


def _end_with(parent: int) -> None:
    """Let the kernel send SIGTERM when the parent dies; only Linux does that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone already")


if __name__ == "__main__":
    _end_with(int(sys.argv[2]))
    train(Settings(), sys.argv[1])
    gc.freeze()  # else the interpreter's end looks through all of torch's objects, and whoever resumes waits for it
