import gc
import signal
from types import FrameType

import pytest
import torch

from learning.callbacks import Callback
from learning.config import TrainingConfig
from learning.control import EndsBetweenBatches, ShortCollections
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


class Watched(Callback):
    """How many objects a full garbage collection would look through after a batch, at most."""

    def __init__(self) -> None:
        self.objects = 0

    def batch_end(self, state: TrainingState) -> None:
        self.objects = max(self.objects, len(gc.get_objects()))


def test_no_collection_looks_through_what_was_there_when_the_training_began() -> None:
    samples, watched = make_history(range(1, 4), "classification", length=1), Watched()
    network = build_network(MlpConfig(hidden_units=[8]), FEATURES, 2, "classification")
    fit_normalisers(network, samples)
    before = len(gc.get_objects())
    try:
        fit(network, samples, TrainingConfig(epochs=2, batch_size=16), [ShortCollections(), watched])
    finally:
        gc.unfreeze()
    assert 0 < watched.objects < before / 10
