import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.signals import Signals, make_signals
from monitoring.performance import SignalMetric
from monitoring.representation import SignalScores, chance, gain_bounds, score_signals, signal_losses


def signals(rng: np.random.Generator, elements: int = 4, sessions: int = 3, each: int = 3) -> Signals:
    ids = [(f"e{e}", f"{s}") for e in range(elements) for s in range(sessions) for _ in range(each)]
    on = np.where(rng.random(len(ids)) < 0.3, np.nan, rng.uniform(0, 19, len(ids)))
    keypoints = {"on": on, "off": np.full(len(ids), np.nan), "top": rng.uniform(0, 19, len(ids))}
    annotators = np.where(rng.random(len(ids)) < 0.5, "hand", "auto").tolist()
    return make_signals([np.zeros((1, 20))] * len(ids), [e for e, _ in ids], [s for _, s in ids], keypoints, annotators)


def predictions(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    return {name: rng.uniform(0, 19, count).astype(np.float32) for name in ("on", "off", "top")}


def test_scores_are_those_of_their_parts() -> None:
    rng = np.random.default_rng(0)
    given_ = signals(rng)
    found = predictions(rng, len(given_))
    scores = score_signals(rng.standard_normal((len(given_), 3)), found, given_, within=5)
    errors = np.abs(np.stack([found[n] for n in given_.keypoints], 1) - np.stack(list(given_.keypoints.values()), 1))
    of_each = [errors_N[~np.isnan(errors_N)] for errors_N in errors.T if not np.isnan(errors_N).all()]
    assert len(of_each) == 2
    assert scores.score("keypoint_mae") == pytest.approx(np.mean([e.mean() for e in of_each]))
    assert scores.score("keypoint_median") == pytest.approx(np.mean([np.median(e) for e in of_each]))
    assert scores.score("keypoint_p90") == pytest.approx(np.mean([np.quantile(e, 0.9) for e in of_each]))
    assert scores.score("keypoint_within") == pytest.approx(np.mean([(e <= 5).mean() for e in of_each]))
    assert scores.score("session_map_at_r") == np.mean(scores.values["session_map_at_r"])
    assert set(scores.scores()) == set(scores.values)


def test_only_what_is_asked_and_annotated_by_judges_counts() -> None:
    rng = np.random.default_rng(1)
    given_ = signals(rng)
    asked = np.arange(len(given_)) < 9
    found = predictions(rng, len(given_))
    embeddings = rng.standard_normal((len(given_), 3))
    scores = score_signals(embeddings, found, given_, 5, asked, judges=["hand"])
    counted = ~np.isnan(scores.values["keypoint_mae"][:, 2])
    np.testing.assert_array_equal(counted, asked & (given_.annotators_N == "hand"))
    assert np.isnan(scores.values["element_recall_at_1"][~asked]).all()
    alone = score_signals(embeddings, found, given_, 5, found_N=given_.element_ids_N != "e0")
    assert np.isnan(alone.values["element_recall_at_1"][:9]).all()


def test_losses_fall_as_the_metric_improves() -> None:
    rng = np.random.default_rng(2)
    given_ = signals(rng)
    scores = score_signals(rng.standard_normal((len(given_), 3)), predictions(rng, len(given_)), given_, 5)
    hits = scores.values["element_recall_at_1"][:, 0]
    np.testing.assert_array_equal(signal_losses("element_recall_at_1", scores), 1 - hits)
    worse = SignalScores({"keypoint_mae": scores.values["keypoint_mae"] + 1})
    np.testing.assert_allclose(
        signal_losses("keypoint_mae", worse), signal_losses("keypoint_mae", SignalScores(scores.values)) + 1
    )


@given(st.integers(0, 1000))
def test_the_bounds_hold_the_gain_and_follow_from_the_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    units, hits = np.repeat(np.arange(8), 5), (rng.random((40, 1)) < 0.7).astype(float)
    better = np.clip(hits + (rng.random((40, 1)) < 0.2), 0, 1)
    new, old = SignalScores({"element_recall_at_1": better}), SignalScores({"element_recall_at_1": hits})
    limits = {"confidence": 0.9, "resamples": 200, "seed": 0}
    low, high = gain_bounds("element_recall_at_1", new, old, units, **limits)
    assert 0 <= low <= high
    assert (low, high) == gain_bounds("element_recall_at_1", new, old, units, **limits)
    assert gain_bounds("element_recall_at_1", old, old, units, **limits) == (0.0, 0.0)


def test_units_that_err_together_make_a_comparison_less_sure() -> None:
    """Ten signals of a session that all say the same are worth one."""
    wrong = np.repeat(np.random.default_rng(0).random(12) < 0.5, 10)[:, None].astype(float)
    new, old = SignalScores({"element_recall_at_1": 1 - wrong}), SignalScores({"element_recall_at_1": wrong})
    limits = {"confidence": 0.9, "resamples": 500, "seed": 0}
    low, high = gain_bounds("element_recall_at_1", new, old, np.repeat(np.arange(12), 10), **limits)
    alone, above = gain_bounds("element_recall_at_1", new, old, np.arange(120), **limits)
    assert high - low > 2 * (above - alone)


@pytest.mark.parametrize("metric", ["keypoint_mae", "keypoint_median", "keypoint_p90"])
def test_errors_that_are_all_halved_are_a_gain_of_half_in_every_draw(metric: SignalMetric) -> None:
    rng = np.random.default_rng(4)
    errors = np.where(rng.random((40, 3)) < 0.3, np.nan, rng.gamma(1.0, 4.0, (40, 3)))
    errors[:, 2] = np.nan
    halved, whole = SignalScores({metric: errors / 2}), SignalScores({metric: errors})
    limits = {"confidence": 0.9, "resamples": 250, "seed": 0}
    assert gain_bounds(metric, halved, whole, np.repeat(np.arange(8), 5), **limits) == pytest.approx((0.5, 0.5))
    worst = SignalScores({metric: np.where(errors > np.nanquantile(errors, 0.8), 2 * errors, errors)})
    _, high = gain_bounds(metric, worst, whole, np.repeat(np.arange(8), 5), **limits)
    assert (high < -0.05) == (metric != "keypoint_median")


def test_few_units_cannot_be_compared() -> None:
    scores = SignalScores({"element_recall_at_1": np.ones((8, 1))})
    with pytest.raises(ValueError, match="4 sessions or elements are too few to compare: 5 are needed"):
        gain_bounds(
            "element_recall_at_1", scores, scores, np.repeat(np.arange(4), 2), confidence=0.9, resamples=100, seed=0
        )


def test_chance_is_what_a_random_neighbour_and_a_median_reach() -> None:
    rng = np.random.default_rng(3)
    given_ = signals(rng, elements=5, sessions=4, each=2)
    everything = np.ones(len(given_), np.bool_)
    found = [
        score_signals(rng.standard_normal((len(given_), 8)), predictions(rng, len(given_)), given_, 5)
        for _ in range(60)
    ]
    for metric in ("element_recall_at_1", "session_recall_at_1"):
        expected = chance(metric, given_, everything, 5)
        assert expected == pytest.approx(np.mean([scores.score(metric) for scores in found]), abs=0.04)
    middle = chance("keypoint_mae", given_, everything, 5)
    assert middle is not None
    assert all(middle < (scores.score("keypoint_mae") or 0) for scores in found)
    alone = signals(rng, elements=1, sessions=1, each=1)
    assert chance("element_recall_at_1", alone, np.ones(1, np.bool_), 5) is None
