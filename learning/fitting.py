"""Training a network on samples: in this process, on a device, or in several processes."""

from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from typing import Any

import safetensors.torch
import torch
from torch.multiprocessing.spawn import ProcessRaisedException

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
    try:
        launched = open_fabric(config).launch(
            partial(_train_part, network, samples, config, tuple(callbacks), checkpoints, seed)
        )
    except ProcessRaisedException as error:
        raise _raised_inside(error) from error
    network.load_state_dict(safetensors.torch.load(launched.weights))
    return launched.training


class _Result:
    """What the first process gives back: bytes, as memory that it shares would go with it.

    No dataclass, as Fabric would look into that and refuse it.
    """

    def __init__(self, network: Network, training: Training) -> None:
        self.weights = safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()})
        self.training = training


def _raised_inside(error: ProcessRaisedException) -> Exception:
    """What the process raised, where it is what `fit` promises to raise."""
    last_line = str(error).strip().splitlines()[-1]
    for kind in (ValueError, FloatingPointError):
        if last_line.startswith(f"{kind.__name__}: "):
            return kind(last_line.removeprefix(f"{kind.__name__}: "))
    return error


def _train_part(
    network: Network,
    samples: Samples,
    config: TrainingConfig,
    callbacks: tuple[Callback, ...],
    checkpoints: Checkpoints | None,
    seed: int,
    fabric: Any,
) -> _Result:
    """One of several processes; its arguments lie in memory that all of them share, so it learns on a copy."""
    engine, own = FabricEngine(fabric), deepcopy(network)
    heard = callbacks if engine.rank == 0 else ()
    return _Result(own, _train(own, samples, config, heard, checkpoints, engine, seed))


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
