import signal
from types import FrameType

import pytest
import torch

from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.control import EndsBetweenBatches
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.state import TrainingState
from models.config import MlpConfig
from models.network import build_network
from tests.learning.streams import FEATURES, make_history


class Counted(Callback):
    """Counts the batches that were begun and ended."""

    def __init__(self) -> None:
        self.begun, self.ended = 0, 0

    def batch_start(self, state: TrainingState) -> None:
        self.begun += 1

    def batch_end(self, state: TrainingState) -> None:
        self.ended += 1


class Terminated(BaseException):
    """What Prefect's handler raises."""


def test_a_request_to_end_waits_for_the_batch_and_then_takes_its_usual_effect() -> None:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    def ask_within_the_third(*layer: object) -> None:
        if counted.begun == 3:
            signal.raise_signal(signal.SIGTERM)

    samples = make_history(range(1, 4), "classification", length=1)
    network = build_network(MlpConfig(hidden_units=[8]), FEATURES, 2, "classification")
    torch.manual_seed(0)
    fit_normalisers(network, samples)
    network.trunk.register_forward_hook(ask_within_the_third)
    said = list[int]()
    counted, before = Counted(), signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated):
            config = TrainingConfig(epochs=50, batch_size=16)
            fit(network, samples, config, [counted, EndsBetweenBatches(lambda: said.append(counted.ended))])
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (counted.begun, counted.ended) == (4, 3), "the batch at work was finished, and no other was begun"
    assert said == [3], "said between the last batch and the usual effect"
