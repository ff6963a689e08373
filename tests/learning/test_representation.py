from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.npz_files import write_npz
from data.signal_sources import read_signals
from data.signals import Signals, make_signals
from learning.callbacks import Followed, Listener
from learning.checkpoint import OtherTrainingError
from learning.metric import HierarchicalLossConfig
from learning.representation import (
    Learned,
    choose_memory,
    fit_normaliser,
    fit_representation,
    represent,
    update_representation,
)
from learning.representation_config import RepresentationConfig
from learning.schedules import Constant
from learning.signal_augmentation import SignalAugmentation
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet

MODEL = HierarchicalConfig(channels=[8, 12], hidden_units=12, embedding_dim=8, dropout=0.0)
CONFIG = RepresentationConfig(
    epochs=12, batches=10, p_elements=4, k_samples=4, learning_rate=1e-2, held_out=0.0, ema_decay=0.9, memory_signals=6
)


def pulses(elements: range, sessions: int = 3, signals: int = 5, seed: int = 0) -> Signals:
    """A pulse whose width and height tell its element; its top and the foot before it are keypoints."""
    generator = np.random.default_rng([seed, elements.start])
    values, element_ids, session_ids, tops, feet = [], [], [], [], []
    for element in elements:
        width, height = 2.0 + element % 4, 1.0 + element // 4
        for session in range(sessions):
            for _ in range(signals):
                length = int(generator.integers(50, 64))
                top = generator.uniform(18, 32)
                time = np.arange(length)
                pulse = height * np.exp(-0.5 * ((time - top) / width) ** 2)
                values.append((pulse + 0.02 * generator.standard_normal(length))[None])
                element_ids.append(f"e{element}")
                session_ids.append(f"s{session}")
                tops.append(top)
                feet.append(top - 2 * width)
    feet = np.where(generator.random(len(feet)) < 0.2, np.nan, feet)
    return make_signals(values, element_ids, session_ids, {"top": tops, "foot": feet})


@pytest.fixture(scope="module")
def learned() -> Learned:
    return fit_representation(pulses(range(8)), MODEL, CONFIG)


def recall(signals: Signals, network: HierarchicalSignalNet) -> float:
    """The share of signals whose nearest neighbour of another session is of their element."""
    embeddings_NE = represent(network, signals).embeddings_NE
    nearness_NN = embeddings_NE @ embeddings_NE.T
    nearness_NN[signals.sessions_N[:, None] == signals.sessions_N] = -np.inf
    return float((signals.elements_N[nearness_NN.argmax(1)] == signals.elements_N).mean())


def test_it_finds_keypoints_and_elements_in_signals_it_has_not_seen(learned: Learned) -> None:
    unseen = pulses(range(8), seed=1)
    found = represent(learned.network, unseen)
    assert np.abs(found.positions["top"] - unseen.keypoints["top"]).mean() < 1.0
    assert np.nanmean(np.abs(found.positions["foot"] - unseen.keypoints["foot"])) < 1.5
    assert recall(unseen, learned.network) > 0.9
    assert np.linalg.norm(found.embeddings_NE, axis=1) == pytest.approx(np.ones(len(unseen)), abs=1e-5)
    losses = [m.train_loss for m in learned.training.history]
    assert losses[-1] < losses[0]
    assert learned.training.cost.samples == 12 * 10 * 16


def test_a_seed_gives_the_same_weights_whatever_ran_before() -> None:
    short = CONFIG.model_copy(update={"epochs": 2, "augmentation": SignalAugmentation(warp=0.1, noise=0.1)})
    one = fit_representation(pulses(range(5)), MODEL, short).network.state_dict()
    torch.randn(7)
    again = fit_representation(pulses(range(5)), MODEL, short).network.state_dict()
    other = fit_representation(pulses(range(5)), MODEL, short.model_copy(update={"seed": 1})).network.state_dict()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["embedding.weight"], other["embedding.weight"])


def test_it_stops_once_held_out_elements_gain_nothing_and_keeps_the_best_weights() -> None:
    config = CONFIG.model_copy(update={"held_out": 0.25, "patience": 2, "min_delta": 100.0, "epochs": 9, "batches": 3})
    training = fit_representation(pulses(range(8)), MODEL, config).training
    assert training.outcome == "stopped_early" and len(training.history) == 3
    assert all(m.val_loss is not None for m in training.history)


class KilledError(Exception):
    """Stands for the end of a process."""


class Dies(Listener[Followed]):
    """Ends in the middle of an epoch."""

    def __init__(self, at: int) -> None:
        self.batches, self.at = 0, at

    def batch_start(self, state: Followed) -> None:
        self.batches += 1
        if self.batches == self.at:
            raise KilledError


@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_a_training_that_was_killed_goes_on_to_the_bit(tmp_path: Path, held_out: float) -> None:
    augmentation = SignalAugmentation(warp=0.1, noise=0.1)
    update = {"epochs": 4, "batches": 5, "held_out": held_out, "augmentation": augmentation}
    config, signals = CONFIG.model_copy(update=update), pulses(range(7))
    whole = fit_representation(signals, MODEL, config)
    for at in (18, 3):  # in the fourth epoch, then again in what is left
        with pytest.raises(KilledError):
            fit_representation(signals, MODEL, config, tmp_path, callbacks=[Dies(at)])
    resumed = fit_representation(signals, MODEL, config, tmp_path)
    expect_same(resumed, whole)
    with pytest.raises(OtherTrainingError, match="belongs to a training of another network, configuration or signals"):
        fit_representation(pulses(range(7), seed=1), MODEL, config, tmp_path)


def test_an_update_that_was_killed_goes_on_to_the_bit(tmp_path: Path, learned: Learned) -> None:
    config = CONFIG.model_copy(update={"epochs": 15, "batches": 3})
    memory, new = choose_memory(pulses(range(8)), CONFIG.memory_signals, 0), pulses(range(8, 12))
    whole = update_representation(learned.network, memory, new, config)
    with pytest.raises(KilledError):
        update_representation(learned.network, memory, new, config, tmp_path, [Dies(8)])
    expect_same(update_representation(learned.network, memory, new, config, tmp_path), whole)


def expect_same(resumed: Learned, whole: Learned) -> None:
    expected = whole.network.state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in resumed.network.state_dict().items())
    assert resumed.training.cost.samples == whole.training.cost.samples
    assert [m.train_loss for m in resumed.training.history] == [m.train_loss for m in whole.training.history]


def test_a_training_is_followed_and_ends_before_the_batch_at_which_it_is_stopped() -> None:
    class Follows(Listener[Followed]):
        def __init__(self) -> None:
            self.heard = list[str]()

        def fit_start(self, state: Followed) -> None:
            self.heard.append("start")

        def batch_start(self, state: Followed) -> None:
            if self.heard.count("batch") == 3:
                state.stop("cancelled")

        def batch_end(self, state: Followed) -> None:
            self.heard.append("batch")

        def epoch_end(self, state: Followed) -> None:
            self.heard.append(f"epoch {state.history[-1].epoch} of {state.epochs}")

        def fit_end(self, state: Followed) -> None:
            self.heard.append(f"end, {state.stopped}")

    config = CONFIG.model_copy(update={"epochs": 4, "batches": 2})
    follows = Follows()
    stopped = fit_representation(pulses(range(4)), MODEL, config, callbacks=[follows])
    assert follows.heard == ["start", "batch", "batch", "epoch 1 of 4", "batch", "end, cancelled"]
    assert (stopped.training.outcome, len(stopped.training.history)) == ("cancelled", 1)


def test_an_update_with_fewer_signals_than_a_batch_learns(learned: Learned) -> None:
    few = pulses(range(8, 10), sessions=1, signals=2)
    wide = CONFIG.model_copy(update={"batches": None, "p_elements": 16, "k_samples": 8})
    updated = update_representation(learned.network, choose_memory(pulses(range(2)), 2, 0), few, wide)
    assert updated.training.cost.samples > 0


def test_an_update_learns_new_elements_holds_old_ones_and_costs_a_fifth(learned: Learned) -> None:
    old, new = pulses(range(8)), pulses(range(8, 12))
    before = {name: tensor.clone() for name, tensor in learned.network.state_dict().items()}
    updated = update_representation(learned.network, choose_memory(old, CONFIG.memory_signals, 0), new, CONFIG)
    assert updated.training.cost.samples <= 0.2 * learned.training.cost.samples
    assert recall(pulses(range(8), seed=1), updated.network) >= recall(pulses(range(8), seed=1), learned.network) - 0.02
    assert recall(pulses(range(8, 12), seed=1), updated.network) > 0.9
    assert all(torch.equal(before[name], tensor) for name, tensor in learned.network.state_dict().items())
    assert torch.equal(updated.network.normaliser.mean_C, learned.network.normaliser.mean_C)


def test_holding_keeps_the_embeddings_of_old_signals_where_they_were(learned: Learned) -> None:
    old, new = pulses(range(8)), pulses(range(8, 12))
    were_NE = represent(learned.network, old).embeddings_NE
    moves = []
    for hold in (0.0, 10.0):
        config = CONFIG.model_copy(update={"hold": hold})
        updated = update_representation(learned.network, choose_memory(old, 6, 0), new, config)
        moves.append(float(np.square(represent(updated.network, old).embeddings_NE - were_NE).sum(1).mean()))
    assert moves[1] < moves[0] / 2


def test_memory_is_spread_evenly_over_the_sessions_of_each_element() -> None:
    signals = pulses(range(3), sessions=4, signals=5)
    memory = choose_memory(signals, 6, seed=0)
    _, per_session = np.unique(memory.sessions_N, return_counts=True)
    assert len(memory) == 18 and sorted(per_session) == [1] * 6 + [2] * 6
    assert (choose_memory(signals, 6, seed=0).values_NCT == memory.values_NCT).all()
    assert len(choose_memory(signals, 100, seed=0)) == len(signals)


def test_the_normaliser_leaves_padding_out() -> None:
    signals = make_signals([np.full((1, 2), 3.0), np.full((1, 6), 5.0)], ["a", "b"], ["x", "x"])
    network = HierarchicalSignalNet(1, (), MODEL)
    fit_normaliser(network, signals)
    assert float(network.normaliser.mean_C) == pytest.approx(4.5)
    assert float(network.normaliser.std_C) == pytest.approx(np.sqrt(0.75))


def test_signals_of_one_element_are_refused_and_an_infinite_loss_is_named() -> None:
    for signals, said in ((pulses(range(1)), "have 1"), (pulses(range(1)).take(np.array([], int)), "have 0")):
        with pytest.raises(ValueError, match=f"two elements or more; the signals {said}"):
            fit_representation(signals, MODEL, CONFIG)
    with pytest.raises(FloatingPointError, match="the loss is not finite at epoch 1"):
        fit_representation(
            pulses(range(4)), MODEL, CONFIG.model_copy(update={"learning_rate": 1e30, "clip_norm": None})
        )


def test_without_keypoints_embeddings_are_learned_alone() -> None:
    signals = pulses(range(4))
    bare = make_signals(
        [signals.signal(i) for i in range(len(signals))], list(signals.element_ids_N), list(signals.session_ids_N)
    )
    config = CONFIG.model_copy(update={"epochs": 2, "loss": HierarchicalLossConfig(metric="triplets")})
    assert represent(fit_representation(bare, MODEL, config).network, bare).positions == {}


def test_the_lines_of_the_readme_run_on_an_npz_file(tmp_path: Path) -> None:
    known = pulses(range(4))
    arrays = {
        "signals": known.values_NCT,
        "lengths": known.lengths_N,
        "element_ids": known.element_ids_N,
        "session_ids": known.session_ids_N,
        "keypoints": np.stack(list(known.keypoints.values()), axis=1),
        "keypoint_names": np.array(list(known.keypoints)),
    }
    (tmp_path / "pulses.npz").write_bytes(write_npz(arrays))
    signals = read_signals(tmp_path / "pulses.npz")
    found = represent(fit_representation(signals).network, signals)
    assert found.embeddings_NE.shape == (60, 64)
    assert {name: positions.shape for name, positions in found.positions.items()} == {"top": (60,), "foot": (60,)}


def test_a_training_starts_from_another_networks_weights_and_leaves_it(learned: Learned) -> None:
    before = {name: tensor.clone() for name, tensor in learned.network.state_dict().items()}
    config = CONFIG.model_copy(update={"epochs": 1, "batches": 2, "learning_rate": 1e-6, "schedule": Constant()})
    again = fit_representation(pulses(range(4)), config=config, start=learned.network).network
    assert all(torch.equal(before[name], tensor) for name, tensor in learned.network.state_dict().items())
    assert torch.allclose(again.embedding.weight, learned.network.embedding.weight, atol=1e-4)
    assert not torch.equal(again.embedding.weight, learned.network.embedding.weight)


def test_learning_on_takes_keypoints_by_their_names(learned: Learned) -> None:
    config = CONFIG.model_copy(update={"epochs": 1, "batches": 2})
    signals = pulses(range(4))
    swapped = replace(signals, keypoints=dict(reversed(list(signals.keypoints.items()))))
    started = [fit_representation(s, config=config, start=learned.network) for s in (signals, swapped)]
    expect_same(*started)
    updated = [update_representation(learned.network, signals, s, config) for s in (signals, swapped)]
    expect_same(*updated)


Changed = Callable[[Signals], Signals]
OTHERS: list[tuple[Changed, str]] = [
    (lambda s: replace(s, values_NCT=np.repeat(s.values_NCT, 2, 1)), "takes signals of 1 channels, these have 2"),
    (lambda s: s.take(np.array([], np.int64)), "there are no signals"),
    (
        lambda s: replace(s, keypoints={"top": s.keypoints["top"]}),
        r"finds the keypoints \['foot', 'top'\], .*\['top'\]",
    ),
    (lambda s: replace(s, keypoints=dict(zip(("peak", "foot"), s.keypoints.values(), strict=True))), "have .*'peak'"),
]


@pytest.mark.parametrize(("changed", "said"), OTHERS)
def test_a_network_does_not_learn_on_from_signals_that_it_is_not_for(
    learned: Learned, changed: Changed, said: str
) -> None:
    network, signals = learned.network, pulses(range(4))
    with pytest.raises(ValueError, match=said):
        fit_representation(changed(signals), config=CONFIG, start=network)
    for memory, new in ((changed(signals), signals), (signals, changed(signals))):
        with pytest.raises(ValueError, match=said):
            update_representation(network, memory, new, CONFIG)


@pytest.mark.parametrize(("changed", "said"), OTHERS[:2])
def test_signals_of_other_channels_and_none_are_not_represented(learned: Learned, changed: Changed, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        represent(learned.network, changed(pulses(range(4))))


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps one signal of each element or more, not 0"):
        choose_memory(pulses(range(2)), 0, seed=0)


def test_a_batch_of_one_element_is_refused_where_the_loss_compares_elements() -> None:
    with pytest.raises(ValueError, match="p_elements: 1 leaves no other element"):
        RepresentationConfig(p_elements=1)
    assert RepresentationConfig(p_elements=1, loss=HierarchicalLossConfig(lambda_metric=0)).p_elements == 1
