import numpy as np
import pytest
from scipy.stats import betabinom

from monitoring.anomaly import fit_healthy
from monitoring.conformal import conformal_threshold
from monitoring.recognition import fit_recogniser, separation
from monitoring.similarity import extend_index
from monitoring.similarity_files import Embedded

DIMENSIONS, ELEMENTS = 16, 12


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Plant:
    """Elements as directions; each session of one lies a little beside it, its signals around the session."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.elements = unit(self.rng.standard_normal((ELEMENTS, DIMENSIONS)))

    def draw(self, elements: range, sessions: int, signals: int) -> tuple[np.ndarray, np.ndarray]:
        of = np.repeat(np.array(elements), sessions)
        centres = self.elements[of] + 0.08 * self.rng.standard_normal((len(of), DIMENSIONS))
        noise = 0.06 * self.rng.standard_normal((len(of) * signals, DIMENSIONS))
        vectors = unit(np.repeat(centres, signals, axis=0) + noise)
        return vectors, np.array([f"m{e:02}" for e in np.repeat(of, signals)])


class CrowdedPlant(Plant):
    """Many elements in few dimensions, so that some are like others."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.elements = unit(self.rng.standard_normal((60, 3))) @ np.eye(3, DIMENSIONS)


@pytest.mark.parametrize("method", ["neighbours", "linear"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_known_elements_are_named_and_unknown_ones_rejected(method, seed) -> None:
    plant, known = Plant(seed), range(8)
    recogniser = fit_recogniser(plant.draw(known, 10, 5), plant.draw(known, 25, 2)[0], method)
    asked, elements = plant.draw(known, 25, 2)
    found = recogniser.recognise(asked)
    assert (found.elements_N == elements).mean() >= 0.97
    assert found.known_N.mean() == pytest.approx(0.95, abs=0.04)
    unknown = recogniser.recognise(plant.draw(range(8, ELEMENTS), 25, 2)[0])
    assert unknown.known_N.mean() <= 0.1


@pytest.mark.parametrize("method", ["neighbours", "linear"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shown_strangers_set_a_threshold_that_other_strangers_rarely_pass(method, seed) -> None:
    plant, known = CrowdedPlant(seed), range(6)
    learned, calibration = plant.draw(known, 10, 5), plant.draw(known, 25, 2)[0]
    asked, others = plant.draw(known, 25, 2)[0], plant.draw(range(36, 60), 5, 2)[0]
    blind = fit_recogniser(learned, calibration, method)
    warned = fit_recogniser(learned, calibration, method, strangers_SE=plant.draw(range(6, 36), 5, 2)[0], admitted=0.1)
    assert np.isnan(blind.admitted) and blind.accepted >= 0.95
    assert warned.admitted <= 0.1 and warned.accepted < blind.accepted
    assert warned.recognise(others).known_N.mean() <= min(0.2, blind.recognise(others).known_N.mean())
    assert warned.recognise(asked).known_N.mean() == pytest.approx(warned.accepted, abs=0.1)
    strange = [warned.recognise(some).strangeness_N for some in (asked, others)]
    assert separation(*strange) > 0.9 and separation(strange[0], strange[0]) == 0.5


def test_two_elements_are_told_apart_by_a_linear_probe() -> None:
    plant = Plant(3)
    recogniser = fit_recogniser(plant.draw(range(2), 10, 5), plant.draw(range(2), 20, 2)[0], "linear")
    asked, elements = plant.draw(range(2), 10, 2)
    assert (recogniser.recognise(asked).elements_N == elements).mean() >= 0.97


def test_what_cannot_be_recognised_is_said() -> None:
    plant = Plant(0)
    vectors, elements = plant.draw(range(2), 2, 5)
    with pytest.raises(ValueError, match="two or more"):
        fit_recogniser((vectors[:5], elements[:5]), vectors)
    with pytest.raises(ValueError, match="21 neighbours among 20 embeddings"):
        fit_recogniser((vectors, elements), vectors, neighbours=21)
    with pytest.raises(ValueError, match=r"a share of 0.95 is calibrated on 19 signals or more, got 18"):
        fit_recogniser((vectors, elements), vectors[:18])
    with pytest.raises(ValueError, match="the method is neighbours or linear, not 'svm'"):
        fit_recogniser((vectors, elements), vectors, "svm")  # pyright: ignore[reportArgumentType]
    recogniser = fit_recogniser((vectors, elements.tolist()), vectors)  # pyright: ignore[reportArgumentType]
    assert recogniser.recognise(vectors).elements_N.tolist() == elements.tolist()
    broken = vectors.copy()
    broken[3, 0] = np.nan
    with pytest.raises(ValueError, match="embedding 3 holds a value that is not finite"):
        fit_recogniser((vectors, elements), broken)
    with pytest.raises(ValueError, match=r"embeddings have the shape \(N, 16\), got \(20, 8\)"):
        recogniser.recognise(vectors[:, :8])


def test_the_threshold_is_the_smallest_that_holds() -> None:
    scores = np.arange(1.0, 100.0)
    assert conformal_threshold(scores, 0.95) == 95
    assert conformal_threshold(scores[:19], 0.95) == 19
    assert conformal_threshold(scores, 0.99) == 99
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            conformal_threshold(scores, share)
    with pytest.raises(ValueError, match="1 scores to calibrate on are not finite"):
        conformal_threshold(np.array([1.0, np.nan]), 0.5)


@pytest.mark.parametrize("false_alarms", [0.01, 0.05])
def test_false_alarms_are_as_stated(tmp_path, false_alarms) -> None:
    """Over the draw of reference, calibration and fresh signals their number is beta-binomial."""
    calibrated, fresh, seeds = 399, 400, 20
    alarms = []
    for seed in range(seeds):
        plant = Plant(100 + seed)
        vectors = plant.draw(range(4), 60, 1)[0]
        texts = ["x"] * len(vectors)
        healthy = extend_index(tmp_path / str(seed), "model", Embedded(vectors, texts, texts, texts, "healthy"))
        judge = fit_healthy(healthy, exchangeable(plant, calibrated), false_alarms)
        alarms.append(judge.judge(exchangeable(plant, fresh)).alarms_N.sum())
    above = round((calibrated + 1) * false_alarms)
    law = betabinom(fresh, above, calibrated + 1 - above)
    assert all(law.ppf(0.0005) <= count <= law.ppf(0.9995) for count in alarms)
    share = np.sum(alarms) / (seeds * fresh)
    assert share == pytest.approx(false_alarms, abs=3 * law.std() / fresh / np.sqrt(seeds))


def exchangeable(plant: Plant, count: int) -> np.ndarray:
    """Signals of a session each, of the healthy elements at random."""
    vectors = plant.draw(range(4), count, 1)[0]
    return vectors[plant.rng.permutation(len(vectors))[:count]]


def test_what_is_not_healthy_raises_an_alarm(tmp_path) -> None:
    plant = Plant(7)
    vectors = plant.draw(range(4), 60, 1)[0]
    texts = ["x"] * len(vectors)
    healthy = extend_index(tmp_path, "model", Embedded(vectors, texts, texts, texts, "healthy"))
    judge = fit_healthy(healthy, exchangeable(plant, 300))
    sick = judge.judge(plant.draw(range(4, ELEMENTS), 10, 2)[0])
    assert sick.alarms_N.mean() >= 0.95
    assert (sick.scores_N > judge.threshold).tolist() == sick.alarms_N.tolist()
    with pytest.raises(ValueError, match=r"a share of 0.99 is calibrated on 99 signals or more, got 98"):
        fit_healthy(healthy, exchangeable(plant, 98))
    few = extend_index(tmp_path / "few", "model", Embedded(vectors[:9], *[texts[:9]] * 3, "few"))
    with pytest.raises(ValueError, match="10 neighbours among 9 healthy embeddings"):
        fit_healthy(few, vectors, neighbours=10)
