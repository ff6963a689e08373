import numpy as np
import pytest

from monitoring.reliability import calibration_error


def sure(rng: np.random.Generator, rows: int, lift: float) -> tuple[np.ndarray, np.ndarray]:
    """Guesses of one of two classes, right with a chance that is `lift` under what they say."""
    said_B = rng.uniform(0.6, 0.95, rows)
    right_B = rng.random(rows) < said_B - lift
    return np.stack([said_B, 1 - said_B], 1).astype(np.float32), np.where(right_B, 0, 1)


@pytest.mark.parametrize("lift", [0.0, 0.1, 0.3])
def test_it_finds_by_how_much_probabilities_are_too_sure(lift: float) -> None:
    rng = np.random.default_rng(0)
    found = [calibration_error(*sure(rng, 1000, lift), np.ones(1000)) for _ in range(20)]
    assert np.mean(found) == pytest.approx(lift, abs=0.02)


def test_values_that_collapse_to_their_mean_are_off() -> None:
    targets_B = np.random.default_rng(1).standard_normal(600)
    assert calibration_error(targets_B.astype(np.float32), targets_B, np.ones(600)) == pytest.approx(0, abs=0.01)
    halved_B = (0.5 * targets_B).astype(np.float32)
    assert calibration_error(halved_B, targets_B, np.ones(600)) == pytest.approx(0.5, abs=0.05)


def test_rows_that_do_not_count_are_left_out_and_few_are_refused() -> None:
    targets_B, weights_B = np.random.default_rng(2).standard_normal(200), np.repeat([1.0, 0.0], 100)
    predictions_B = np.where(weights_B > 0, targets_B, 99).astype(np.float32)
    assert calibration_error(predictions_B, targets_B, weights_B) < 0.01
    with pytest.raises(ValueError, match="too few"):
        calibration_error(predictions_B[:30], targets_B[:30], weights_B[:30])
