"""Training a network on samples: in this process, on a device, or in several processes."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from data.samples import Samples
from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.engine import FabricEngine, PlainEngine, is_plain, open_fabric
from learning.metrics import Training
from learning.resume import Checkpoints, Keeper, fingerprint, saved_checkpoint
from learning.trainer import Trainer
from models.network import Network


def fit(
    network: Network,
    samples: Samples,
    config: TrainingConfig,
    callbacks: Iterable[Callback] = (),
    checkpoints: Checkpoints | None = None,
) -> Training:
    """Train the network in place until its validation loss stops improving; the best weights stay.

    The network has one head, and its normaliser is fitted already. Uses torch's global generator. checkpoints: where
    to keep them; a training found there goes on, to the bit. With several devices the callbacks are pickled into the
    first process and hear of a stop at the end of an epoch.
    Raises ValueError for no samples, a device that is not there, or another training's checkpoint; FloatingPointError
    where a loss is not finite.
    """
    if len(samples) == 0:
        raise ValueError("there are no training samples to learn from")
    if config.devices == 1:
        engine = PlainEngine() if is_plain(config) else FabricEngine(open_fabric(config))
        return _train(network, samples, config, tuple(callbacks), checkpoints, engine, None)
    seed = int(torch.randint(2**62, ()))
    launched = open_fabric(config).launch(_train_part, network, samples, config, tuple(callbacks), checkpoints, seed)
    weights, training = launched
    network.load_state_dict(weights)
    return training


def _train_part(
    fabric: Any,
    network: Network,
    samples: Samples,
    config: TrainingConfig,
    callbacks: tuple[Callback, ...],
    checkpoints: Checkpoints | None,
    seed: int,
) -> tuple[dict[str, Tensor], Training]:
    """One of several processes."""
    engine = FabricEngine(fabric)
    heard = callbacks if engine.rank == 0 else ()
    training = _train(network, samples, config, heard, checkpoints, engine, seed)
    return {name: tensor.cpu() for name, tensor in network.state_dict().items()}, training


def _train(
    network: Network,
    samples: Samples,
    config: TrainingConfig,
    callbacks: tuple[Callback, ...],
    checkpoints: Checkpoints | None,
    engine: PlainEngine | FabricEngine,
    seed: int | None,
) -> Training:
    if checkpoints is None:
        return Trainer(network, samples, config, callbacks, engine, seed).run()
    saved, run = saved_checkpoint(checkpoints), fingerprint(network, samples, config)
    trainer = Trainer(network, samples, config, callbacks, engine, saved.config["seed"] if saved else seed)
    keeper = Keeper(checkpoints, trainer, run)
    trainer.listen(keeper)
    if saved is not None:
        trainer.notes = keeper.restore(saved)
    return trainer.run()
