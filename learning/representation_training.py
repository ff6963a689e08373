"""The training loop of representations: one for a first training and for an update.

Shapes: N signals, B signals of a batch, C channels, T samples, K keypoints, E numbers of an embedding.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from data.signals import SignalBatch, SignalSource
from learning.averaging import MovingAverage
from learning.callbacks import Followed, Listener, listeners_of
from learning.checkpoint import Checkpoint, OtherTrainingError, grouped, load_checkpoint, save_checkpoint
from learning.metric import HierarchicalLoss
from learning.metrics import Cost, EpochMetrics, Training
from learning.optimisers import make_optimiser, optimiser_tensors, restore_optimiser
from learning.randomness import seeded
from learning.representation_config import RepresentationConfig
from learning.schedules import epoch_rates
from learning.signal_augmentation import augment_signals
from learning.state import Best, Ending
from models.hierarchical import HierarchicalSignalNet, Representation

Batches = Callable[[int], Iterator[list[int]]]
"""The places of each batch of an epoch, whose number counts from 1."""

Penalty = Callable[[SignalBatch, Representation], Tensor]
"""What an update adds to a batch's loss."""


@dataclass
class RepresentationTraining(Ending[RepresentationConfig]):
    """One training of a network, in place; its normaliser is fitted already.

    batches: of an epoch, by its number from 1. held_out: batches that early stopping looks at; none: the last weights
    stay. checkpoints: a folder for one after each epoch; a training found there goes on, to the bit, as randomness
    belongs to the seed and the epoch. callbacks: hear of it as of any training (`learning.callbacks`), and may end it
    between two batches.
    """

    network: HierarchicalSignalNet
    source: SignalSource
    config: RepresentationConfig
    batches: Batches
    steps: int
    held_out: list[SignalBatch]
    penalty: Penalty | None = None
    checkpoints: Path | None = None
    callbacks: Sequence[Listener[Followed]] = ()
    average: MovingAverage | None = field(default=None, init=False)
    stopped: str | None = None
    history: list[EpochMetrics] = field(default_factory=list[EpochMetrics])
    best: Best = field(default_factory=Best)
    samples_learned: int = 0

    def __post_init__(self) -> None:
        config = self.config
        self._loss = HierarchicalLoss(config.loss)
        self._optimiser = make_optimiser(
            self.network.parameters(), config.optimiser, config.learning_rate, config.weight_decay
        )
        if config.ema_decay is not None:
            self.average = MovingAverage(self._weights(), config.ema_decay)
        self._listeners = listeners_of(self.callbacks)

    def run(self) -> Training:
        """Train until the epochs are over, nothing gets better any more or a callback stops it; the best weights stay.

        Raises FloatingPointError where a loss is not finite, OtherTrainingError for another training's checkpoint.
        """
        began = perf_counter()
        run = "" if self.checkpoints is None else self._fingerprint()
        if self.checkpoints is not None:
            self._restore(load_checkpoint(self.checkpoints), run)
        self._emit("fit_start")
        try:
            while self.outcome is None:
                self._run_epoch(len(self.history) + 1, run)
        finally:
            self._emit("fit_end")
        assert self.outcome is not None
        if self.outcome != "paused":
            self._serve_best()
        return Training(tuple(self.history), Cost(self.samples_learned, perf_counter() - began), self.outcome)

    def _run_epoch(self, epoch: int, run: str) -> None:
        """One epoch, or as much of it as is done when it is stopped, which is no part of the history."""
        self._emit("epoch_start")
        with seeded(self.config.seed, epoch):
            metrics = self._learn_epoch(epoch)
        if metrics is None:
            return
        self.history.append(metrics)
        if self.checkpoints is not None:
            save_checkpoint(self.checkpoints, epoch, self._tensors(), {"run": run, **self._figures()})
        self._emit("epoch_end")

    def _learn_epoch(self, epoch: int) -> EpochMetrics | None:
        started = perf_counter()
        held_out_losses = [m.val_loss for m in self.history if m.val_loss is not None]
        config = self.config
        rates = epoch_rates(config.schedule, config.learning_rate, epoch, config.epochs, self.steps, held_out_losses)
        self.network.train()
        losses: list[float] = []
        for places, rate in zip(self.batches(epoch), rates, strict=True):
            self._emit("batch_start")
            if self.stopped is not None:
                return None
            losses.append(self._learn(self.source[places], rate))
            self._emit("batch_end")
        train_loss = sum(losses) / len(losses)
        if not math.isfinite(train_loss):
            raise FloatingPointError(f"the loss is not finite at epoch {epoch}")
        self._emit("validation_start")
        val_loss = self._validate(epoch)
        return EpochMetrics(epoch, train_loss, None, val_loss, None, rates[-1], perf_counter() - started)

    def _learn(self, batch: SignalBatch, rate: float) -> float:
        (group,) = self._optimiser.param_groups
        group["lr"] = rate
        batch = self._varied(batch)
        representation = self.network(batch["signals"], padding(batch))
        loss = self._batch_loss(batch, representation)
        if self.penalty is not None:
            loss = loss + self.penalty(batch, representation)
        self._optimiser.zero_grad()
        loss.backward()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._weights(), self.config.clip_norm)
        self._optimiser.step()
        if self.average is not None:
            self.average.update()
        self.samples_learned += len(batch["lengths"])
        return loss.item()

    def _batch_loss(self, batch: SignalBatch, representation: Representation) -> Tensor:
        keypoints_BK = keypoints_of(batch)
        weights_BK = batch["weights"][:, None].expand_as(keypoints_BK)
        return self._loss(
            representation, batch["element_ids"], batch["session_ids"], keypoints_BK, weights_BK, self.network.stride
        ).total

    def _varied(self, batch: SignalBatch) -> SignalBatch:
        """The batch after augmentation, which is told in deviations of the normaliser."""
        normaliser = self.network.normaliser
        mean_C1, std_C1 = normaliser.mean_C[:, None], normaliser.std_C[:, None]
        normal_BCT = (batch["signals"] - mean_C1) / std_C1
        varied_BCT, keypoints_BK = augment_signals(
            normal_BCT, batch["lengths"], keypoints_of(batch), batch["element_ids"], self.config.augmentation
        )
        named = dict(zip(batch["keypoints"], keypoints_BK.unbind(1), strict=True))
        return {**batch, "signals": varied_BCT * std_C1 + mean_C1, "keypoints": named}

    @torch.no_grad()
    def _validate(self, epoch: int) -> float | None:
        if not self.held_out:
            return None
        with self.average.in_place() if self.average else nullcontext():
            self.network.eval()
            losses = [self._batch_loss(b, self.network(b["signals"], padding(b))).item() for b in self.held_out]
            loss = sum(losses) / len(losses)
            self.best.note(self.network, loss, epoch, self.config.min_delta)
        return loss

    def _serve_best(self) -> None:
        self.serve(self.network)
        self.network.eval().zero_grad()

    def _fingerprint(self) -> str:
        """Tells trainings apart: their configuration, network, weights at the start and signals."""
        signals = self.source[range(len(self.source))]
        hashed = hashlib.sha256(repr((self.config, self.network.config, self.steps)).encode())
        tensors = [*self.network.state_dict().values(), signals["signals"], signals["weights"], keypoints_of(signals)]
        for tensor in [*tensors, signals["element_ids"], signals["session_ids"]]:
            hashed.update(tensor.contiguous().numpy().tobytes())
        return hashed.hexdigest()

    def _tensors(self) -> dict[str, Tensor]:
        groups = {"network": self.network.state_dict(), "best": self.best.weights or {}}
        average = self.average.state() if self.average else {}
        return grouped({**groups, "average": average, "optimiser": optimiser_tensors(self._optimiser)})

    def _figures(self) -> dict[str, Any]:
        best = {name: getattr(self.best, name) for name in ("loss", "epoch", "better_loss", "better_epoch")}
        known = {name: value for name, value in best.items() if math.isfinite(value)}
        return {"history": [m.to_dict() for m in self.history], "best": known, "samples_learned": self.samples_learned}

    def _restore(self, saved: Checkpoint | None, run: str) -> None:
        if saved is None:
            return
        if saved.config["run"] != run:
            raise OtherTrainingError(
                f"the checkpoint in {self.checkpoints} belongs to a training of another network, configuration or "
                f"signals; take another folder, or remove it"
            )
        self.network.load_state_dict(saved.group("network"))
        restore_optimiser(self._optimiser, saved.group("optimiser"))
        if self.average is not None:
            self.average.restore(saved.group("average"))
        self.history = [EpochMetrics(**figures) for figures in saved.config["history"]]
        self.best = Best(**saved.config["best"], weights=saved.group("best") or None)
        self.samples_learned = saved.config["samples_learned"]

    def _emit(self, event: str) -> None:
        for listener in self._listeners[event]:
            listener(self)

    def _weights(self) -> list[torch.nn.Parameter]:
        return list(self.network.parameters())


def padding(batch: SignalBatch) -> Tensor | None:
    """The signals' lengths; None where all are as long as the batch, which spares a sixth of a step."""
    return None if bool((batch["lengths"] == batch["signals"].shape[2]).all()) else batch["lengths"]


def keypoints_of(batch: SignalBatch) -> Tensor:
    """Positions in samples, NaN where not annotated: (B, K)."""
    positions = list(batch["keypoints"].values())
    return torch.stack(positions, dim=1) if positions else batch["signals"].new_zeros(len(batch["lengths"]), 0)


def holding(before: HierarchicalSignalNet, elements: Tensor, weight: float) -> Penalty:
    """What it costs to move the embeddings of these elements: the mean squared distance to where they were."""
    before = deepcopy(before).eval()

    def penalty(batch: SignalBatch, representation: Representation) -> Tensor:
        old_B = torch.isin(batch["element_ids"], elements)
        if not old_B.any():
            return representation.embeddings_BE.new_zeros(())
        with torch.no_grad():
            were_BE = before(batch["signals"][old_B], batch["lengths"][old_B]).embeddings_BE
        return weight * (representation.embeddings_BE[old_B] - were_BE).square().sum(1).mean()

    return penalty
