import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.signals import Signals
from data.synthetic_signals import SignalPlan, synthetic_signals
from learning.config import TrainingConfig
from learning.fitting import fit
from learning.normalisation import fit_normalisers
from learning.representation_config import RepresentationConfig
from learning.search.space import LogRange, Range
from learning.search.trainings import Trainings
from learning.tuning import AutoMLTuner
from models.config import CnnLstmConfig, LstmConfig, MlpConfig
from models.network import build_network
from tests.learning.streams import FEATURES, LENGTHS, make_history

FAST = TrainingConfig(epochs=3, batch_size=32)
SNIPPET = {"layers": [2, 3, 4], "units": [64, 128, 256], "dropout": [0.1, 0.2, 0.3]}
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden_units": [[8], [16, 8]], "learning_rate": [1e-3, 1e-2]},
    "cnn": {"channels": [[4], [8]], "kernel_size": [2, 3], "learning_rate": [1e-3, 1e-2]},
    "lstm": {"units": [4, 8], "layers": [1, 2], "learning_rate": [1e-3, 1e-2]},
    "gru": {"units": [4, 8], "bidirectional": [True, False], "learning_rate": [1e-3, 1e-2]},
    "cnn_lstm": {"channels": [[4], [8]], "units": [4, 8], "learning_rate": [1e-3, 1e-2]},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEHR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_earlier_modules_call(home: Path) -> None:
    lstm_data = make_history(range(1, 2), "classification", 4)
    tuner = AutoMLTuner(trials=3, training=TrainingConfig(epochs=1, batch_size=64))
    best_params = tuner.optimize_lstm_hyperparameters(training_data=lstm_data, search_space=SNIPPET)
    assert set(best_params) == set(SNIPPET)
    assert all(best_params[name] in values for name, values in SNIPPET.items())
    network = build_network(LstmConfig(**best_params), FEATURES, 2, "classification")  # into training, as it is
    fit_normalisers(network, lstm_data)
    assert fit(network, lstm_data, FAST).outcome == "completed"
    assert (home / "tuning" / "lstm.journal").is_file()


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("architecture", SMALL)
def test_every_network(architecture: str, task: str) -> None:
    data = make_history(range(1, 3), task, LENGTHS[architecture])
    tuner = AutoMLTuner(trials=4, training=FAST, seed=1, finalists=1)
    optimize = getattr(tuner, f"optimize_{architecture}_hyperparameters")
    best = optimize(data, SMALL[architecture])
    result = tuner.result
    assert result.best.epochs == 3
    scores = [t.values["score"] for t in result.trials if t.values and t.epochs == 3]
    assert (result.best.values or {})["score"] == (max(scores) if task == "classification" else min(scores))
    model, training = tuner.configs()
    assert model.architecture == architecture
    assert training.learning_rate == best["learning_rate"]


SIGNALS = RepresentationConfig(epochs=9, batches=2, p_elements=4, k_samples=3, held_out=0.0)
NESTED = {"loss.metric": ["factored_contrastive", "contrastive"], "channels": [[4], [8]], "lambda_metric": [0.3, 1.0]}


def machines() -> Signals:
    return synthetic_signals(SignalPlan(tuple(range(8)), (0, 1, 2), signals=4, samples=24), seed=2)


def test_signals_are_searched_like_rows(tmp_path: Path) -> None:
    how: dict[str, Any] = {"trials": 6, "training": SIGNALS, "metric": "keypoint_mae", "finalists": 1}
    halved, whole = (AutoMLTuner(halving=h, storage=tmp_path / f"{h}.journal", **how) for h in (True, False))
    best = halved.optimize_hierarchical_hyperparameters(machines(), NESTED, by="element")
    whole.optimize_hierarchical_hyperparameters(machines(), NESTED, by="element")
    result, in_full = halved.result, {t.key: t for t in whole.result.trials}
    survivors = [t for t in result.trials if t.epochs == 9]
    assert {t.epochs for t in result.trials} == {1, 3, 9}
    assert 1 <= len(survivors) < 6
    for trial in survivors:  # as if they had never been stopped
        assert trial.values == in_full[trial.key].values
        assert trial.details["samples"] == in_full[trial.key].details["samples"]
    assert (result.best.values or {})["score"] == min((t.values or {})["score"] for t in survivors)
    model, training = halved.hierarchical_configs()
    assert (model.channels, training.loss.metric) == (best["channels"], best["loss.metric"])
    with pytest.raises(ValueError, match="over signals: ask hierarchical_configs"):
        halved.configs()


def test_the_usual_space_of_signals_holds_the_defaults_and_all_that_is_measured() -> None:
    names = ("score", "latency_ms", "size_mb", "cost")
    short = SIGNALS.model_copy(update={"epochs": 1, "batches": 1})
    tuner = AutoMLTuner(trials=2, training=short, objectives=names)
    point = tuner.optimize_hierarchical_hyperparameters(machines())
    assert {"lambda_metric", "decoder", "loss.metric"} <= set(point)
    assert tuner.result.baseline is not None
    assert all(set(t.values or {}) == set(names) for t in tuner.result.trials)
    bare = replace(machines(), keypoints={})
    quick = AutoMLTuner(trials=1, training=short)
    assert not {"lambda_metric", "decoder"} & set(quick.optimize_hierarchical_hyperparameters(bare))


def test_what_is_asked_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="training: give a RepresentationConfig, not a TrainingConfig"):
        AutoMLTuner(trials=1, training=FAST).optimize_hierarchical_hyperparameters(machines())
    with pytest.raises(ValueError, match="training: give a TrainingConfig, not a RepresentationConfig"):
        AutoMLTuner(trials=1, training=SIGNALS).optimize_mlp_hyperparameters(make_history(range(1, 2), "regression"))
    with pytest.raises(ValueError, match="metric: rmse does not fit representation; allowed are element_recall_at_1"):
        AutoMLTuner(trials=1, metric="rmse").optimize_hierarchical_hyperparameters(machines())
    with pytest.raises(ValueError, match=r"search_space\.units: nothing is configured by it"):
        AutoMLTuner(trials=1).optimize_hierarchical_hyperparameters(machines(), {"units": [8]})


def test_the_same_again_to_the_bit_and_without_a_second_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_history(range(1, 3), "classification")
    space = {"hidden_units": [[8], [16]], "learning_rate": LogRange(1e-3, 1e-1), "dropout": Range(0.0, 0.5)}
    first, second = (AutoMLTuner(trials=5, training=FAST, storage=tmp_path / f"{i}.journal") for i in "ab")
    assert first.optimize_mlp_hyperparameters(data, space) == second.optimize_mlp_hyperparameters(data, space)
    assert [t.values for t in first.result.trials] == [t.values for t in second.result.trials]
    monkeypatch.setattr(Trainings, "__call__", None)
    again = AutoMLTuner(trials=5, training=FAST, storage=tmp_path / "a.journal")
    assert again.optimize_mlp_hyperparameters(data, space) == dict(first.result.best.point)


def test_the_pick_is_what_trained_best_again_on_other_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_history(range(1, 3), "regression")
    own = MlpConfig().hidden_units
    space = {"hidden_units": [[4], [8], [16], own], "learning_rate": [1e-4, FAST.learning_rate, 3e-2]}
    tuner = AutoMLTuner(trials=8, training=FAST, storage=tmp_path / "a.journal", finalists=3)
    best = tuner.optimize_mlp_hyperparameters(data, space)
    result = tuner.result
    assert result.baseline is not None
    again = {key: [t for t in result.finals if t.key == key] for key in {t.key for t in result.finals}}
    assert len(again) == 3
    assert result.baseline.key in again
    assert all(len(trials) == 2 for trials in again.values())
    means = {key: np.mean([(t.values or {})["score"] for t in trials]) for key, trials in again.items()}
    assert (result.best.values or {})["score"] == pytest.approx(min(means.values()))
    assert result.best.point == best
    assert result.best.key == min(means, key=lambda key: means[key])
    assert "trained again on 2 other splits" in result.why
    monkeypatch.setattr(Trainings, "__call__", None)
    kept = AutoMLTuner(trials=8, training=FAST, storage=tmp_path / "a.journal", finalists=3)
    assert kept.optimize_mlp_hyperparameters(data, space) == best


def test_several_objectives_with_the_exported_network(tmp_path: Path) -> None:
    data = make_history(range(1, 3), "classification")
    names = ("score", "latency_ms", "size_mb", "cost")
    tuner = AutoMLTuner(trials=4, training=FAST, objectives=names, halving=False)
    tuner.optimize_mlp_hyperparameters(data, {"hidden_units": [[4], [16], [64], [256, 256]]})
    sizes = {str(t.point["hidden_units"]): t.values["size_mb"] for t in tuner.result.trials if t.values}
    assert sizes["[4]"] < sizes["[16]"] < sizes["[64]"] < sizes["[256, 256]"]
    assert all(set(t.values or {}) == set(names) for t in tuner.result.trials)
    assert tuner.result.best in tuner.result.front
    assert "front" in tuner.result.why


def test_survivors_of_halving_go_on_from_their_checkpoint() -> None:
    data = make_history(range(1, 3), "classification")
    space = {"hidden_units": [[8], [16], [32]], "learning_rate": [1e-3, 1e-2, 3e-2]}
    config = TrainingConfig(epochs=9, batch_size=32)
    halved, whole = AutoMLTuner(trials=9, training=config), AutoMLTuner(trials=9, training=config, halving=False)
    halved.optimize_mlp_hyperparameters(data, space)
    whole.optimize_mlp_hyperparameters(data, space)
    in_full = {t.key: t for t in whole.result.trials}
    survivors = [t for t in halved.result.trials if t.epochs == 9]
    assert 1 <= len(survivors) < 9
    for trial in survivors:  # as if they had never been stopped
        assert trial.values == in_full[trial.key].values
        assert trial.details["samples"] == in_full[trial.key].details["samples"]


def test_arrays_are_taken_too() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(200, 5, 2)).astype(np.float32)
    labels = np.where(windows[:, :, 0].mean(1) > 0, "good", "chip")
    best = AutoMLTuner(trials=2, training=FAST).optimize_gru_hyperparameters((windows, labels), {"units": [4, 8]})
    assert best["units"] in (4, 8)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "nothing to search"),
        ({"layers": []}, "search_space.layers: an empty list"),
        ({"layers": 3}, "search_space.layers: 3 is neither a list nor a range"),
        ({"layers": [1, 1]}, "search_space.layers: a value stands twice"),
        ({"dropout": [0, 0.0]}, "search_space.dropout: a value stands twice"),
        (
            {"dropout": {"low": 0.1, "high": 0.1 + 1e-15}},
            "search_space.dropout: 0.1 to 0.100000000000001 is too narrow",
        ),
        (["layers"], "search_space: a mapping of names to values"),
        ({3: [1]}, "search_space.3: nothing is configured by it"),
        ({"layers": [0, 1]}, "search_space.layers: 0 is not allowed"),
        ({"units": ["many"]}, "search_space.units: 'many' is not allowed"),
        ({"width": [1, 2]}, "search_space.width: nothing is configured by it; allowed are"),
        ({"kernel_size": [3, 5]}, "search_space.kernel_size: this network has no such key; those that have it: cnn"),
        ({"dropout": {"low": 0.5, "high": 0.1}}, "search_space.dropout: 0.5 to 0.1 is no range"),
        ({"dropout": {"low": 0.0, "high": 1.5}}, "search_space.dropout: 1.5 is not allowed"),
        ({"learning_rate": {"low": 0, "high": 1, "log": True}}, "must begin above 0"),
        ({"dropout": {"low": 0.0, "high": 0.4, "by": 2}}, "search_space.dropout"),
        (
            {"units": {"values": [4], "when": {"depth": [1]}}},
            "search_space.units.when.depth: there is no such parameter",
        ),
        ({"units": {"values": [4], "when": {"layers": [9]}}, "layers": [1, 2]}, "9 is none of [1, 2]"),
        (
            {"units": {"values": [4], "when": {"layers": [1]}}, "layers": {"values": [1], "when": {"units": [4]}}},
            "depend on one another",
        ),
    ],
)
def test_a_bad_space_is_refused_with_what_is_wrong(space: Any, said: str) -> None:
    data = make_history(range(1, 3), "classification", 4)
    with pytest.raises(ValueError) as refused:
        AutoMLTuner(trials=1, training=FAST).optimize_lstm_hyperparameters(data, space)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("how", "data", "said"),
    [
        ({"sampler": "luck"}, None, "sampler: 'luck' is none of"),
        ({"trials": 0}, None, "trials: 0"),
        ({"minutes": 0}, None, "minutes: 0 is no time above 0"),
        ({"minutes": math.nan}, None, "minutes: nan is no time above 0"),
        ({"finalists": -1}, None, "finalists: -1 is less than 1"),
        ({"storage": Path("/")}, None, "storage: / is a folder"),
        ({"objectives": ("latency_ms",)}, None, "score comes first"),
        ({"objectives": ("score", "beauty")}, None, "any of latency_ms, size_mb, cost"),
        ({"metric": "rmse"}, None, "rmse does not fit classification"),
        ({}, 3, "a int is neither Samples nor a pair"),
        ({}, (np.zeros((5, 2)), np.zeros(4)), "do not fit"),
        ({}, (np.zeros((20, 2)), np.arange(20) % 2), "20 samples are too few"),
        ({}, (np.zeros((200, 2)), np.zeros((200, 2), int)), "do not fit"),
        ({}, (np.full((200, 2), np.nan), np.arange(200) % 2), "all are missing"),
        ({}, (np.full((200, 2), np.inf), np.arange(200) % 2), "readings are infinite"),
        ({}, (np.zeros((200, 2)), np.full(200, np.nan)), "targets have to be finite"),
        ({}, (np.zeros((200, 2)), [None, {}] * 100), "targets are objects"),
        ({}, ([["warm"]], ["good"]), "readings are no array of numbers"),
    ],
)
def test_a_bad_call_is_refused(how: dict[str, Any], data: Any, said: str) -> None:
    given = make_history(range(1, 3), "classification") if data is None else data
    with pytest.raises(ValueError) as refused:
        AutoMLTuner(**{"trials": 1, "training": FAST, **how}).optimize_mlp_hyperparameters(given, SMALL["mlp"])
    assert said in str(refused.value)


def test_an_architecture_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="architecture: 'transformer' is none of mlp, cnn, lstm, gru, cnn_lstm"):
        AutoMLTuner().optimize_hyperparameters("transformer", None)  # pyright: ignore[reportArgumentType]


def test_windows_that_touch_one_another_too_much_leave_nothing_to_learn_from() -> None:
    from data.synthetic import SyntheticTrainingDataGenerator

    few = SyntheticTrainingDataGenerator().generate_lstm_training_data(sequence_length=30, num_samples=200)
    with pytest.raises(ValueError, match="windows of 30 rows 3 touch nothing of what is held out, too few"):
        AutoMLTuner(trials=1, training=FAST).optimize_lstm_hyperparameters(few, SMALL["lstm"])


def test_a_network_that_does_not_fit_into_memory_is_a_trial_that_could_not_be_trained() -> None:
    tuner = AutoMLTuner(trials=2, training=FAST, finalists=1)
    best = tuner.optimize_mlp_hyperparameters(
        make_history(range(1, 3), "classification"), {"hidden_units": [[4], [10**13]]}
    )
    assert best == {"hidden_units": [4]}
    assert [t.error for t in tuner.result.trials if t.values is None] == ["it needs more memory than there is"]


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"pip install --constraint constraints\.txt --editable '\.\[tuning\]'"):
        AutoMLTuner(trials=1, training=FAST).optimize_mlp_hyperparameters(make_history(range(1, 3), "classification"))


def test_conditional_parameters_are_asked_for_only_where_they_apply() -> None:
    data = make_history(range(1, 3), "classification", 4)
    space = {"layers": [1, 2], "units": {"values": [4, 8], "when": {"layers": [2]}}}
    tuner = AutoMLTuner(trials=10, training=FAST)
    tuner.optimize_lstm_hyperparameters(data, space)
    assert sorted({t.key for t in tuner.result.trials}) == [
        '{"layers": 1}', '{"layers": 2, "units": 4}', '{"layers": 2, "units": 8}',
    ]  # fmt: skip


def test_the_default_spaces_hold_the_default_configurations() -> None:
    data = make_history(range(1, 3), "classification", 4)
    tuner = AutoMLTuner(trials=1, training=TrainingConfig(epochs=1))
    for architecture in SMALL:
        best = tuner.optimize_hyperparameters(architecture, data)  # pyright: ignore[reportArgumentType]
        assert tuner.result.baseline is not None
        assert best["dropout"] == CnnLstmConfig().dropout
    assert torch.get_num_threads() >= 1
