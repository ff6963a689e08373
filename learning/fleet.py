"""Many trainings of one small network at once: each is an ordinary `Trainer`, only the gradient steps are shared.

The results are those of one training after another, within rounding, and do not depend on who else is trained. After
the cost of Python's calls a small network's step is mostly waiting for memory, so that several at once take less.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from data.samples import Samples
from learning.config import TrainingConfig
from learning.engine import is_plain
from learning.losses import CrossEntropy, SquaredError
from learning.optimisers import AdamW
from learning.plan import LearningPlan
from learning.stack import Stack, StackLoss, entropies, squared_errors
from learning.threads import threads
from learning.trainer import Trainer
from models.config import MlpConfig
from models.network import Network

SLOTS = 16
"""Of the stack: more do not fit into the processor's cache."""


class Pupil:
    """A training at work in a slot. place: its number among all.

    generator: of its dropout, as torch's global one stood when the training was made.
    """

    def __init__(self, place: int, trainer: Trainer, generator: torch.Generator) -> None:
        self.place, self.trainer, self.generator = place, trainer, generator
        self.steps, self.rate = torch.zeros(()), 0.0
        self.start_epoch()

    def start_epoch(self) -> None:
        """Take up the epoch at work."""
        rates, self.batches = self.trainer.epoch_batches()
        self.rates = iter(rates)
        self.left = len(rates)


def learns_in_a_fleet(plan: LearningPlan, samples: Samples) -> bool:
    """Whether the stack knows this network and training: rows through an MLP, AdamW, cross-entropy or squared error."""
    training = plan.training
    plain = is_plain(training) and isinstance(training.optimiser, AdamW) and not training.augmentations
    without = training.ema_decay is None and training.clip_norm is None and training.class_weights is None
    loss = training.loss is None or isinstance(training.loss, CrossEntropy | SquaredError)
    return plain and without and loss and isinstance(plan.model, MlpConfig) and samples.length == 1


def train_fleet(pupils: Iterator[Pupil], like: Network, config: TrainingConfig, slots: int = SLOTS) -> Iterator[Pupil]:
    """Train all pupils, so many at a time, and give each back when it is done: its network then holds its best weights.

    like: a network of the pupils' architecture. Raises FloatingPointError where a loss is not finite.
    """
    # A batch of one sample joins the one before it, which then is longer by one.
    stack, seated = Stack(like, slots, config.batch_size + 1, _loss(like, config)), list[Pupil]()
    newcomer = next(pupils, None)
    while newcomer is not None or seated:
        while newcomer is not None and len(seated) < slots:
            stack.put(len(seated), newcomer.trainer.network)
            seated.append(newcomer)
            newcomer = next(pupils, None)
        with threads(1):
            _step(stack, seated)
            done = _end_epochs(stack, seated)
        yield from done


def _loss(network: Network, config: TrainingConfig) -> StackLoss:
    if network.task == "regression":
        return squared_errors
    smoothing = config.loss.label_smoothing if isinstance(config.loss, CrossEntropy) else 0.0
    return partial(entropies, smoothing=smoothing)


def _step(stack: Stack, seated: Sequence[Pupil]) -> None:
    """One gradient step of every pupil."""
    targets: list[Tensor] = []
    for slot, pupil in enumerate(seated):
        batch = next(pupil.batches)
        stack.draw_masks(slot, len(batch.targets), pupil.generator)
        stack.put_batch(slot, batch.inputs, batch.targets)
        targets.append(batch.targets)
    losses_S, outputs_SBO = stack.learn(len(seated))
    for slot, (pupil, targets_B) in enumerate(zip(seated, targets, strict=True)):
        _descend(stack, slot, pupil)
        rows = len(targets_B)
        pupil.trainer.note_step(losses_S[slot], outputs_SBO[slot, :rows, None], targets_B, rows)
        pupil.left -= 1


def _end_epochs(stack: Stack, seated: list[Pupil]) -> list[Pupil]:
    """Let those whose epoch is over validate; those who are done stand up, and the last take their places."""
    done: list[Pupil] = []
    for slot in reversed(range(len(seated))):
        pupil = seated[slot]
        if pupil.left > 0:
            continue
        stack.get(slot, pupil.trainer.network)
        pupil.trainer.end_epoch(pupil.rate)
        if pupil.trainer.state.outcome is None:
            pupil.start_epoch()
            continue
        done.append(pupil)
        stack.move(len(seated) - 1, slot)
        seated[slot] = seated[-1]
        seated.pop()
    return done


def _descend(stack: Stack, slot: int, pupil: Pupil) -> None:
    """The fused kernel of AdamW on one slot, as the ordinary training calls it."""
    (group,) = pupil.trainer.state.optimiser.param_groups
    pupil.steps.add_(1)
    pupil.rate = next(pupil.rates)
    torch._fused_adamw_(  # pyright: ignore[reportPrivateUsage]
        [stack.parameters_SP[slot]],
        [stack.gradients_SP[slot]],
        [stack.moments_SP[slot]],
        [stack.squares_SP[slot]],
        [],
        [pupil.steps],
        lr=pupil.rate,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )
