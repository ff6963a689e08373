"""The training loop: one for training and validation, on the engine that the configuration asks for.

Shapes: M samples, B samples of one batch, K heads, O outputs. `learning.callbacks` shows the loop with its events.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from time import perf_counter

import torch
from torch import Tensor

from data.samples import Samples
from learning.averaging import MovingAverage
from learning.batches import Batch, TrainingSet, batch_sizes, batches
from learning.callbacks import Callback, listeners_of
from learning.class_weights import class_weights
from learning.config import TrainingConfig
from learning.engine import Engine, PlainEngine
from learning.losses import make_loss
from learning.metrics import Cost, EpochMetrics, Training, count_correct
from learning.normalisation import normalised_targets
from learning.optimisers import make_optimiser
from learning.presets import V2_LEAST_STEPS
from learning.schedules import epoch_rates
from learning.state import TrainingState
from learning.steps import batch_loss
from learning.threads import choose_threads, threads
from learning.validation import split_validation
from models.network import Network

VALIDATED_AT_ONCE = 4096
COUNTED_AT_ONCE = 64


class Trainer:
    """One training of a network, in place; its normaliser is fitted already and it has one head.

    Uses torch's global generator. `prepare` puts all in place, `run` trains until the end or a stop.
    """

    def __init__(
        self,
        network: Network,
        samples: Samples,
        config: TrainingConfig,
        callbacks: Iterable[Callback] = (),
        engine: Engine | None = None,
        seed: int | None = None,
    ) -> None:
        self.engine = engine or PlainEngine()
        self.config, self.network = config, network
        optimiser = make_optimiser(network.parameters(), config.optimiser, config.learning_rate, config.weight_decay)
        seed = int(torch.randint(2**62, ())) if seed is None else seed
        self.state = TrainingState(network, optimiser, config, seed)
        train, validation = split_validation(samples, self.state.generator(0))
        self._forward = self.engine.prepare(network, optimiser)
        self.training_set = self._on_device(train)
        self.validation_set = None if validation is None else self._on_device(validation)
        weights_O = class_weights(config.class_weights, train.targets_B, network.outputs)
        self._loss = make_loss(
            config.loss, network.task, None if weights_O is None else weights_O.to(self.engine.device)
        )
        if config.ema_decay is not None:
            self.state.average = MovingAverage(network.parameters(), config.ema_decay)
        self._initial = deepcopy(network.state_dict())
        self._listeners = listeners_of(callbacks)
        self._uncounted: list[tuple[Tensor, Tensor, Tensor]] = []
        self._began = self._started = perf_counter()
        self.threads = config.threads
        self.notes: tuple[str, ...] = ()

    @property
    def seconds_in_epoch(self) -> float:
        """Since the epoch at work was started or resumed."""
        return perf_counter() - self._started

    def listen(self, callback: Callback) -> None:
        """Let one more callback hear of the events, after the others."""
        for event, listeners in listeners_of([callback]).items():
            self._listeners[event].extend(listeners)

    def run(self) -> Training:
        """Train until the configured epochs are over, nothing gets better any more, or a callback stops it.

        The best weights stay. Raises FloatingPointError where a loss is not finite, naming step and tensor; the last
        good weights stay.
        """
        self.threads = self.threads or self.choose_threads()
        with threads(self.threads):
            self._emit("fit_start")
            try:
                while self.state.outcome is None:
                    self._run_epoch()
            except FloatingPointError:
                self.give_up()
                raise
            finally:
                self._emit("fit_end")
        return self.finish()

    def epoch_batches(self) -> tuple[list[float], Iterator[Batch]]:
        """The learning rates and the batches that are left of the epoch at work."""
        state, engine = self.state, self.engine
        sizes = self._batch_sizes()
        order_M = torch.randperm(len(self.training_set), generator=state.generator(state.epoch)).to(engine.device)
        left = order_M[sum(sizes[: state.step]) :]
        return self._rates(len(sizes))[state.step :], batches(self.training_set, left, sizes[state.step :])

    def note_step(self, loss: Tensor, outputs_BKO: Tensor, targets: Tensor, learned: int) -> None:
        """Count a gradient step that was made on so many samples; its loss is looked at later."""
        self.state.samples_learned += learned
        self._uncounted.append((loss, outputs_BKO, targets))
        self.state.step += 1
        if len(self._uncounted) == COUNTED_AT_ONCE:
            self.count_uncounted()

    def end_epoch(self, rate: float) -> None:
        """Validate the network as it is, keep it where it is the best so far, and go on to the next epoch.

        rate: of the epoch's last step. Raises FloatingPointError where a loss is not finite.
        """
        state = self.state
        self.count_uncounted()
        self._emit("validation_start")
        with state.average.in_place() if state.average else nullcontext():
            val_loss, val_accuracy = self._validate(state.epoch)
        seconds = state.seconds + self.seconds_in_epoch
        loss_sum, correct, seen = self.engine.total(state.loss_sum, state.correct, state.seen)
        train_loss, train_accuracy = loss_sum / seen, self._accuracy(correct, seen)
        metrics = EpochMetrics(state.epoch, train_loss, train_accuracy, val_loss, val_accuracy, rate, seconds)
        state.history.append(metrics)
        state.end_epoch()
        self._emit("epoch_end")

    def give_up(self) -> None:
        """Put the last good weights back."""
        self.network.load_state_dict(self.state.best.weights or self._initial)

    def finish(self) -> Training:
        """What the training did; its best weights are in the network unless it goes on later."""
        if self.state.outcome != "paused":
            self._serve_best()
        cost = Cost(self.state.samples_learned, perf_counter() - self._began)
        assert self.state.outcome is not None
        return Training(tuple(self.state.history), cost, self.state.outcome, (*self.notes, *self._notes()))

    def choose_threads(self) -> int:
        """As many as the network's size, and for a large one a short test, make best."""
        if self.engine.device.type != "cpu":
            return torch.get_num_threads()
        weights = sum(p.numel() for p in self.network.parameters())
        size = min(self.config.batch_size, len(self.training_set))
        first = self.training_set.samples.inputs(torch.arange(size))

        def step() -> None:
            with torch.random.fork_rng(devices=[]):
                self.network.train()
                loss = self.network.normalised_outputs(self.network.normaliser(first)).square().mean()
                torch.autograd.grad(loss, list(self.network.parameters()), allow_unused=True)

        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        chosen = choose_threads(weights, size * self.training_set.samples.length, step)
        self.network.load_state_dict(buffers, strict=False)
        return chosen

    def count_uncounted(self) -> None:
        """Add the latest batches to the epoch's sums; raises FloatingPointError where a loss is not finite."""
        waiting, self._uncounted = self._uncounted, []
        if not waiting:
            return
        state, sizes = self.state, [len(targets) for _, _, targets in waiting]
        losses = torch.stack([loss for loss, _, _ in waiting]).tolist()
        for i, (loss, size) in enumerate(zip(losses, sizes, strict=True)):
            if not math.isfinite(loss):
                raise FloatingPointError(self._not_finite(f"step {state.step - len(losses) + i + 1}"))
            state.loss_sum += loss * size
        state.loss, state.seen = losses[-1], state.seen + sum(sizes)
        if self.network.task == "classification":
            state.correct += count_correct(torch.cat([o for _, o, _ in waiting]), torch.cat([t for _, _, t in waiting]))

    def _run_epoch(self) -> None:
        state = self.state
        self._started = perf_counter()
        self._emit("epoch_start")
        rate = self._learn_epoch()
        stopped = self.engine.agree(state.stopped)
        if stopped is not None:
            state.stopped = stopped
            return
        self.end_epoch(rate)

    def _learn_epoch(self) -> float:
        """The epoch's batches that are left; returns the last learning rate."""
        state, engine = self.state, self.engine
        (group,) = state.optimiser.param_groups
        rates, rest = self.epoch_batches()
        if engine.processes > 1:
            torch.manual_seed(state.generator(state.epoch).initial_seed() + engine.rank)
        self.network.train()
        on_start, on_end = self._listeners["batch_start"], self._listeners["batch_end"]
        on_cpu = engine.device.type == "cpu"
        for rate in rates:
            for event in on_start:
                event(state)
            if state.stopped is not None and engine.processes == 1:
                break
            group["lr"] = rate
            loss = self._learn(next(rest))
            if on_cpu and not math.isfinite(loss.item()):
                self.count_uncounted()
            for event in on_end:
                event(state)
        self.count_uncounted()
        return group["lr"]

    def _learn(self, batch: Batch) -> Tensor:
        """One gradient step; no batch outlives it, so that the next may take its memory."""
        mine = self._mine(batch)
        loss, outputs_BKO = batch_loss(self._forward, self._loss, mine, self.config.augmentations)
        processes = self.engine.processes  # their gradients are averaged, but a larger part must count for more
        self.engine.backward(loss if processes == 1 else loss * (len(mine.targets) * processes / len(batch.targets)))
        self.engine.step(self.config.clip_norm)
        if self.state.average is not None:
            self.state.average.update()
        self.note_step(loss.detach(), outputs_BKO.detach(), mine.targets, len(batch.targets))
        return loss.detach()

    def _batch_sizes(self) -> list[int]:
        return batch_sizes(len(self.training_set), self.config.batch_size, max(2, self.engine.processes))

    def _mine(self, batch: Batch) -> Batch:
        """This process's part of a batch."""
        if self.engine.processes == 1:
            return batch
        part = slice(self.engine.rank, None, self.engine.processes)
        return Batch(batch.inputs[part], batch.targets[part], None)

    @torch.no_grad()
    def _validate(self, epoch: int) -> tuple[float | None, float | None]:
        """Mean loss and accuracy on what was held back, after which the weights may be the best so far."""
        held_back = self.validation_set
        if held_back is None:
            return None, None
        self.network.eval()
        total, correct, count = 0.0, 0, len(held_back)
        sizes = batch_sizes(count, VALIDATED_AT_ONCE)
        for batch in batches(held_back, torch.arange(count, device=self.engine.device), sizes):
            outputs_BKO = self._forward(batch.inputs)
            total += float(self._loss(outputs_BKO, batch.targets, None)) * len(batch.targets)
            if self.network.task == "classification":
                correct += count_correct(outputs_BKO, batch.targets)
        if not math.isfinite(total):
            raise FloatingPointError(self._not_finite("validation"))
        self.state.best.note(self.network, total / count, epoch, self.config.min_delta)
        return total / count, self._accuracy(correct, count)

    def _rates(self, steps: int) -> list[float]:
        losses = [m.val_loss for m in self.state.history if m.val_loss is not None]
        return epoch_rates(
            self.config.schedule, self.config.learning_rate, self.state.epoch, self.config.epochs, steps, losses
        )

    def _serve_best(self) -> None:
        self.state.serve(self.network)
        self.network.to("cpu").zero_grad()

    def _accuracy(self, correct: float, count: float) -> float | None:
        return correct / count if self.network.task == "classification" else None

    def _on_device(self, samples: Samples) -> TrainingSet:
        moved = samples.to(self.engine.device)
        return TrainingSet(moved, normalised_targets(self.network, moved), self.network.normaliser)

    def _notes(self) -> tuple[str, ...]:
        steps = self.config.epochs * len(self._batch_sizes())
        if self.config.preset != "v2" or steps >= V2_LEAST_STEPS:
            return ()
        return (
            f"the preset v2 learns slowly: {steps:,} steps leave it under-trained, it needs about {V2_LEAST_STEPS:,}; "
            f"take more epochs, or the preset fast",
        )

    def _emit(self, event: str) -> None:
        for listener in self._listeners[event]:
            listener(self.state)

    def _not_finite(self, where: str) -> str:
        parts = [self.training_set, *([] if self.validation_set is None else [self.validation_set])]
        readings = self.training_set.samples.rows_NC.nan_to_num(nan=0.0)  # a missing reading is no fault
        tensors = {"inputs": readings, "targets": torch.cat([part.targets for part in parts])}
        gradients = {f"the gradient of {n}": p.grad for n, p in self.network.named_parameters() if p.grad is not None}
        suspects = {**tensors, **self.network.state_dict(), **gradients}
        broken = [name for name, tensor in suspects.items() if not tensor.isfinite().all()]
        epoch = f"epoch {self.state.epoch}, {where}"
        return f"the loss is not finite at {epoch}; not finite: {', '.join(broken) or 'the loss alone'}"
