"""A training as a run in the ledger: others pause, resume and cancel it, and read its events as they happen."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from data.samples import Samples
from data.training_runs import TrainingRuns
from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.control import Control
from learning.fitting import fit
from learning.metrics import Training
from learning.resume import Checkpoints
from learning.state import TrainingState
from models.network import Network

STATES = {"completed": "completed", "stopped_early": "completed", "paused": "paused", "cancelled": "cancelled"}


class _Recorder(Callback):
    """Appends each epoch's metrics, and the best so far, to the run's events; one that is learned again only once."""

    def __init__(self, runs: TrainingRuns, run_id: str) -> None:
        self._runs, self._run_id = runs, run_id
        epochs = [event.payload["metrics"]["epoch"] for event in runs.events(run_id) if event.kind == "epoch"]
        self._recorded = max(epochs, default=0)

    def epoch_end(self, state: TrainingState) -> None:
        """Append the epoch, unless a process that was killed after its last checkpoint did so already."""
        metrics = state.history[-1]
        if metrics.epoch > self._recorded:
            payload = {"metrics": metrics.to_dict(), "total_epochs": state.config.epochs, "best": _best(state)}
            self._runs.append(self._run_id, "epoch", payload)


def fit_run(
    runs: TrainingRuns,
    run_id: str,
    network: Network,
    samples: Samples,
    config: TrainingConfig,
    checkpoints: Checkpoints,
    callbacks: Iterable[Callback] = (),
    deliver: Callable[[Training], None] | None = None,
) -> Training:
    """Start the run, or resume it from its checkpoint, and train until it ends or its desired state says otherwise.

    deliver: called once all epochs are done, before the run is over for those who follow it; it may be called again
    after a crash. Whatever it or `fit` raises is noted as the run's failure and raised again.
    Raises ValueError where the run is at work elsewhere or over.
    """
    runs.change_state(run_id, "running")
    listeners = [Control(partial(runs.desired, run_id)), _Recorder(runs, run_id), *callbacks]
    try:
        training = fit(network, samples, config, listeners, checkpoints)
        for note in training.notes:
            runs.append(run_id, "warning", {"note": note})
        if deliver is not None and STATES[training.outcome] == "completed":
            deliver(training)
    except Exception as error:
        runs.change_state(run_id, "failed", f"{type(error).__name__}: {error}")
        raise
    runs.change_state(run_id, STATES[training.outcome], training.outcome.replace("_", " "))
    return training


def _best(state: TrainingState) -> dict[str, Any] | None:
    """The epoch with the lowest validation loss so far; None where nothing is held back."""
    if state.best.epoch == 0:
        return None
    metrics = state.history[state.best.epoch - 1]
    return {"epoch": metrics.epoch, "loss": metrics.val_loss, "accuracy": metrics.val_accuracy}
