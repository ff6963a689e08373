import io

import torch
from rich.console import Console

from learning.config import TrainingConfig
from learning.fitting import fit
from learning.metrics import EpochMetrics
from learning.progress import ProgressBar, losses_text
from models.config import MlpConfig
from models.network import build_network
from tests.learning.streams import FEATURES, make_batch


def test_the_bar_shows_epochs_and_losses_and_goes_away() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    torch.manual_seed(0)
    network = build_network(MlpConfig(), FEATURES, 1, "regression")
    fit(network, make_batch(1, "regression"), TrainingConfig(epochs=3), [ProgressBar("training", console)])
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "training" in shown
    assert "epoch 3/3: loss" in shown
    assert shown.rstrip().endswith("\x1b[2K")


def test_losses_in_words() -> None:
    metrics = EpochMetrics(3, 0.5, None, 0.25, None, 1e-3, 1.0)
    assert losses_text(metrics, 20) == "epoch 3/20: loss 0.5, validation 0.25"
    assert losses_text(EpochMetrics(1, 0.5, None, None, None, 1e-3, 1.0), 1) == "epoch 1/1: loss 0.5"
