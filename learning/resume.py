"""A training's checkpoints: written as it goes, and going on from them to the bit.

The same weights come out as without the interruption on the same machine, with the same number of threads and the same
versions; where these differ, the training says so.
"""

import hashlib
import platform
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.samples import Samples
from learning.callbacks import Callback
from learning.checkpoint import Checkpoint, OtherTrainingError, grouped, load_checkpoint, save_checkpoint
from learning.config import TrainingConfig
from learning.metrics import EpochMetrics
from learning.optimisers import optimiser_tensors, restore_optimiser
from learning.state import Best, TrainingState
from learning.trainer import Trainer
from models.network import Network


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its checkpoints, and how many seconds of work it may lose."""

    folder: Path
    every_seconds: float = 5.0


class Keeper(Callback):
    """Writes checkpoints between batches once enough seconds have passed, and at every end."""

    def __init__(self, checkpoints: Checkpoints, trainer: Trainer, run: str) -> None:
        self._checkpoints, self._trainer, self._run = checkpoints, trainer, run
        self._number = 0
        self._written = perf_counter()

    def restore(self, saved: Checkpoint) -> tuple[str, ...]:
        """Go on from a checkpoint; returns what is to be said about it.

        Raises ValueError where it belongs to another training.
        """
        if saved.config["run"] != self._run:
            raise OtherTrainingError(
                f"the checkpoint in {self._checkpoints.folder} belongs to a training of another network, configuration "
                f"or data; take another folder, or remove it"
            )
        self._number = saved.number
        _restore(self._trainer, saved)
        notes = [f"a broken checkpoint was passed over: {reason}" for reason in saved.refused]
        before, now = saved.config["environment"], environment(self._trainer)
        changed = [f"{key} was {before.get(key)}, is {now[key]}" for key in now if before.get(key) != now[key]]
        if changed:
            notes.append(f"weights may differ in their last bits from an uninterrupted run: {'; '.join(changed)}")
        return tuple(notes)

    def batch_end(self, state: TrainingState) -> None:
        """Write a checkpoint where the last is old."""
        if self._trainer.engine.processes == 1:
            self._write_if_old()

    def epoch_end(self, state: TrainingState) -> None:
        """Write a checkpoint where the last is old, and at the training's end."""
        if state.outcome is not None:
            self._write()
        else:
            self._write_if_old()

    def fit_end(self, state: TrainingState) -> None:
        """Keep a stopped training as it stands."""
        if state.stopped is not None:
            self._write()

    def _write_if_old(self) -> None:
        if perf_counter() - self._written >= self._checkpoints.every_seconds:
            self._write()

    def _write(self) -> None:
        if self._trainer.engine.rank > 0:
            return
        self._trainer.count_uncounted()
        self._number += 1
        config = {"run": self._run, "environment": environment(self._trainer), **_plain_state(self._trainer)}
        save_checkpoint(self._checkpoints.folder, self._number, _tensors(self._trainer), config)
        self._written = perf_counter()


def fingerprint(network: Network, samples: Samples, config: TrainingConfig) -> str:
    """What makes a training another one: its network's shape, its configuration, its data."""
    hasher = hashlib.sha256(f"{network.config!r} {network.outputs} {network.task} {config!r} {samples.length}".encode())
    for tensor in (samples.rows_NC, samples.starts_B, samples.targets_B, *network.normaliser.buffers()):
        hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()


def environment(trainer: Trainer) -> dict[str, Any]:
    """What the last bits of the weights depend on besides the checkpoint."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads() if trainer.threads is None else trainer.threads,
        "device": str(trainer.engine.device),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
    }


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    state = trainer.state
    groups: dict[str, Mapping[str, Tensor]] = {
        "network": trainer.network.state_dict(),
        "best": state.best.weights or {},
        "average": state.average.state() if state.average else {},
        "optimiser": optimiser_tensors(state.optimiser),
        "random": _random_tensors(),
    }
    return grouped(groups)


def _plain_state(trainer: Trainer) -> dict[str, Any]:
    state = trainer.state
    counters = ("seed", "epoch", "step", "loss_sum", "correct", "seen", "samples_learned")
    best = {k: getattr(state.best, k) for k in ("epoch", "better_epoch")}
    if state.best.epoch:
        best |= {"loss": state.best.loss, "better_loss": state.best.better_loss}
    return {
        **{name: getattr(state, name) for name in counters},
        "seconds": state.seconds + trainer.seconds_in_epoch,
        "history": [asdict(metrics) for metrics in state.history],
        "best": best,
        "scaler": trainer.engine.state(),
        "outcome": state.outcome,
    }


def _restore(trainer: Trainer, saved: Checkpoint) -> None:
    state, config = trainer.state, saved.config
    for name in ("epoch", "step", "loss_sum", "correct", "seen", "samples_learned", "seconds"):
        setattr(state, name, config[name])
    state.history = [EpochMetrics(**record) for record in config["history"]]
    state.best = Best(**config["best"], weights=saved.group("best") or None)
    trainer.network.load_state_dict(saved.group("network"))
    if state.average is not None:
        state.average.restore(saved.group("average"))
    restore_optimiser(state.optimiser, saved.group("optimiser"))
    trainer.engine.restore(config["scaler"])
    trainer.threads = config["environment"]["threads"]
    _restore_random(saved.group("random"))


def _random_tensors() -> dict[str, Tensor]:
    """The generators of torch, NumPy and Python: callbacks may use any of them."""
    _, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, next_gauss = random.getstate()
    assert version == 3, "Python's generator changed its state"
    return {
        "torch": torch.get_rng_state(),
        "numpy_keys": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
        "numpy_rest": torch.tensor([position, has_gauss, gauss], dtype=torch.float64),
        "python": torch.tensor(internal, dtype=torch.int64),
        "python_gauss": torch.tensor([float("nan") if next_gauss is None else next_gauss], dtype=torch.float64),
        **({f"cuda{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())} if torch.cuda.is_available() else {}),
    }


def _restore_random(tensors: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(tensors["torch"])
    position, has_gauss, gauss = tensors["numpy_rest"].tolist()
    keys = tensors["numpy_keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), gauss))
    next_gauss = float(tensors["python_gauss"][0])
    random.setstate((3, tuple(tensors["python"].tolist()), None if next_gauss != next_gauss else next_gauss))
    if "cuda0" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([tensors[f"cuda{i}"] for i in range(torch.cuda.device_count())])


def saved_checkpoint(checkpoints: Checkpoints | None) -> Checkpoint | None:
    """The newest whole checkpoint of a training; None before any. Raises ValueError where all are broken."""
    return None if checkpoints is None else load_checkpoint(checkpoints.folder)
