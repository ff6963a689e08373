"""What of signals is held out to score by, and how a network that is stopped early is looked at."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from data.signals import Signals
from data.synthetic_signals import SignalPlan, synthetic_signals
from deployments.measuring import measure_exported_signals
from learning.representation import fit_representation
from learning.representation_config import RepresentationConfig
from learning.search.signal_material import SIGNAL_KEYS, SignalMaterial
from learning.search.template import Template
from learning.search.trainings import Look, TooLittleError, Trainings
from models.config import HierarchicalConfig
from monitoring.performance import SignalMetric
from monitoring.representation import SignalScore

MODEL = HierarchicalConfig(channels=[4], hidden_units=4, embedding_dim=4)
TRAINING = RepresentationConfig(epochs=3, batches=3, p_elements=3, k_samples=3, held_out=0.0, ema_decay=0.9)


def material(
    elements: int, sessions: int, by: Literal["session", "element"], metric: SignalMetric = "element_recall_at_1"
) -> SignalMaterial:
    plan = SignalPlan(tuple(range(elements)), tuple(range(sessions)), signals=3, samples=32)
    return SignalMaterial(synthetic_signals(plan, seed=1), by, SignalScore(metric), measure_exported_signals)


def names(signals: Signals) -> tuple[set[Any], set[Any]]:
    return set(signals.element_ids_N.tolist()), set(zip(signals.element_ids_N, signals.session_ids_N, strict=True))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("elements", [4, 5, 23])
def test_elements_are_held_out_whole(elements: int, seed: int) -> None:
    split = material(elements, 2, "element").split(seed)
    learned, held = names(split.train)[0], names(split.held_out)[0]
    assert not learned & held
    assert len(learned | held) == elements
    assert len(held) == max(2, round(elements / 5))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("elements", "sessions"), [(2, 3), (6, 4), (5, 20)])
def test_sessions_are_held_out_whole_and_their_elements_stay_known(elements: int, sessions: int, seed: int) -> None:
    split = material(elements, sessions, "session").split(seed)
    (known, learned), (asked, held) = names(split.train), names(split.held_out)
    assert not learned & held
    assert asked <= known
    assert all(sum(element == of for of, _ in held) >= 2 for element in asked), "they find one another"
    assert len(held) == pytest.approx(elements * sessions / 5, abs=max(2, sessions / 5))


def test_a_split_follows_from_its_seed() -> None:
    signals = material(10, 4, "session")
    held = [names(signals.split(seed).held_out)[1] for seed in (3, 3, 4)]
    assert held[0] == held[1] != held[2]
    assert [*signals.contents()] == [*material(10, 4, "session").contents()]
    others = [material(10, 4, "element"), material(10, 4, "session", "keypoint_mae"), material(10, 5, "session")]
    assert all([*signals.contents()] != [*other.contents()] for other in others)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (material(3, 4, "element"), "3 elements are too few to tune on; 4 at least"),
        (material(1, 4, "session"), "1 elements of at most 4 sessions are too few"),
        (material(4, 1, "session"), "4 elements of at most 1 sessions are too few"),
        (material(4, 2, "session"), "none can be scored: an element counts where two of its sessions are held out"),
        (material(6, 1, "element"), "none can be scored"),
    ],
)
def test_too_little_is_said(given: SignalMaterial, said: str) -> None:
    with pytest.raises(TooLittleError) as refused:
        given.split(0)
    assert said in str(refused.value)


def test_keypoints_that_nobody_annotated_are_said() -> None:
    given = material(4, 3, "session", "keypoint_mae")
    bare = {name: np.full_like(p, np.nan) for name, p in given.signals.keypoints.items()}
    with pytest.raises(TooLittleError, match="a keypoint where it is annotated"):
        replace(given, signals=replace(given.signals, keypoints=bare)).split(0)
    assert given.split(0).held_out.keypoints


def test_a_look_is_at_what_would_be_served_and_what_is_learned_goes_on(tmp_path: Path) -> None:
    split, look = material(6, 4, "session", "keypoint_mae").split(0), Look(1, None)
    network, trained = split.learn(MODEL, TRAINING, look, tmp_path / "checkpoints")
    assert (trained.outcome, look.reached) == ("paused", True)
    raw = split.score(network)
    look.serve(network)
    whole = fit_representation(split.train, MODEL, TRAINING.model_copy(update={"epochs": 3}))
    assert raw != split.score(network), "the moving average"
    resumed, _ = split.learn(MODEL, TRAINING, Look(3, None), tmp_path / "checkpoints")
    assert split.score(resumed) == split.score(whole.network)


def test_another_process_measures_the_same(tmp_path: Path) -> None:
    template = Template(SIGNAL_KEYS, MODEL.model_dump(mode="json"), TRAINING.model_dump(mode="json"))
    names = ("score", "cost")
    here = Trainings(material(6, 4, "session", "keypoint_mae").split(0), template, names, tmp_path / "here", 3)
    there = replace(pickle.loads(pickle.dumps(here)), folder=tmp_path / "there")
    point = {"lambda_metric": 0.5}
    assert here(point, 1, None).values == there(point, 1, None).values
    assert here(point, 3, None).values == there(point, 3, None).values
