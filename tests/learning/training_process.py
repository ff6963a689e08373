"""A training in a process of its own, to be killed."""

import hashlib
from pathlib import Path

import torch
import torch._dynamo  # every optimiser imports it, for more than a second

from learning.config import TrainingConfig
from learning.control import pause_on_sigterm
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.resume import Checkpoints
from models.config import CnnLstmConfig
from models.network import Network, build_network
from tests.learning.streams import FEATURES, make_history

CONFIG = TrainingConfig.model_validate(
    {"epochs": 12, "batch_size": 16, "threads": 1, "ema_decay": 0.9, "augmentations": [{"kind": "noise"}]}
)


def train(folder: Path) -> str:
    samples = make_history(range(1, 5), "classification", length=4)
    torch.manual_seed(0)
    network = build_network(CnnLstmConfig(channels=[8], units=8, hidden_units=[8]), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    with pause_on_sigterm() as control:
        training = fit(network, samples, CONFIG, [control], Checkpoints(folder, every_seconds=0.02))
    return digest(network) if training.outcome in ("completed", "stopped_early") else training.outcome


def digest(network: Network) -> str:
    content = b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def tell(folder: str, told: str) -> None:
    """Write the SHA-256 of the final weights, or `paused` after SIGTERM, to a file."""
    Path(told).write_text(train(Path(folder)))
