"""An epoch of the same network in Lightning, skorch and Keras on torch: seconds of the second one.

Each gets inputs that are normalised already, and does what its own quick start shows. `settings`: "same" is the fused
AdamW of lehr wherever the library can take it, and none of its extras; "defaults" is what it does unless told.
"""

import os
import tempfile
from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.workload import LEARNING_RATE, WEIGHT_DECAY, Workload
from models.network import Network

Settings = Literal["same", "defaults"]
EPOCHS = 2


class _Logits(nn.Module):
    """The network without its heads' axis: inputs → (B, O)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network.normalised_outputs(inputs).flatten(1)


def lightning_seconds(workload: Workload, settings: Settings) -> float:
    """Lightning's Trainer: "same" is barebones, "defaults" logs, shows progress and keeps checkpoints."""
    import lightning

    clock = _Clock()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.logits = _Logits(workload.network())

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            inputs, targets_B = batch
            return functional.cross_entropy(self.logits(inputs), targets_B)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            if settings == "defaults":
                return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE)
            return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)

        def on_train_epoch_start(self) -> None:
            clock.start()

        def on_train_epoch_end(self) -> None:
            clock.stop()

    loader = DataLoader(TensorDataset(*workload.tensors()), batch_size=workload.batch_size, shuffle=True)
    extras = {"barebones": True} if settings == "same" else {}
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", default_root_dir=folder, **extras)
        trainer.fit(Module(), loader)
    return clock.seconds


def skorch_seconds(workload: Workload, settings: Settings) -> float:
    """skorch's NeuralNetClassifier: "same" prints nothing, scores nothing and holds nothing back."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

    clock = _Clock()

    class Epochs(Callback):
        def on_epoch_begin(self, net: Any, **_: Any) -> None:
            clock.start()

        def on_epoch_end(self, net: Any, **_: Any) -> None:
            clock.stop()

    options: dict[str, Any] = {"optimizer": torch.optim.AdamW, "iterator_train__shuffle": True}
    if settings == "same":
        options |= {"optimizer__weight_decay": WEIGHT_DECAY, "optimizer__fused": True, "train_split": None}
        options |= {"verbose": 0, "callbacks__epoch_timer": None, "callbacks__valid_acc": None}
    net = NeuralNetClassifier(
        _Logits(workload.network()),
        criterion=nn.CrossEntropyLoss,
        max_epochs=EPOCHS,
        lr=LEARNING_RATE,
        batch_size=workload.batch_size,
        callbacks=[("clock", Epochs())],
        **options,
    )
    inputs, targets = workload.tensors()
    if settings == "defaults":  # as many more as it holds back
        inputs, targets = (torch.cat([t, t[: len(t) // 4]]) for t in (inputs, targets))
    net.fit(inputs, targets)
    return clock.seconds


def keras_seconds(workload: Workload, settings: Settings) -> float:
    """Keras on torch around the same network; its own AdamW, as it takes no other; "same" prints nothing."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    clock = _Clock()

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            clock.start()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.stop()

    inputs, targets = workload.tensors()
    network = keras.layers.TorchModuleWrapper(_Logits(workload.network()))
    model = keras.Sequential([keras.Input(tuple(inputs.shape[1:])), network])
    optimiser = keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    model.compile(optimizer=optimiser, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    verbose = 0 if settings == "same" else "auto"
    model.fit(
        inputs.numpy(),
        targets.numpy(),
        batch_size=workload.batch_size,
        epochs=EPOCHS,
        verbose=verbose,
        callbacks=[Epochs()],
    )
    return clock.seconds


PEERS: dict[str, Callable[[Workload, Settings], float]] = {
    "Lightning": lightning_seconds,
    "skorch": skorch_seconds,
    "Keras": keras_seconds,
}


class _Clock:
    """Seconds of the latest epoch."""

    def __init__(self) -> None:
        self.seconds = self._started = 0.0

    def start(self) -> None:
        self._started = perf_counter()

    def stop(self) -> None:
        self.seconds = perf_counter() - self._started
