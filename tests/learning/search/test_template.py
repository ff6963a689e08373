from typing import Any

import pytest

from learning.representation_config import RepresentationConfig
from learning.search.parsing import parse_space
from learning.search.row_material import ROW_KEYS
from learning.search.signal_material import SIGNAL_KEYS
from learning.search.template import Template, check_space

SIGNALS = Template(SIGNAL_KEYS, {"architecture": "hierarchical"}, RepresentationConfig().model_dump(mode="json"))
ROWS = Template(ROW_KEYS, {"architecture": "lstm", "units": 32}, {})


def test_a_key_inside_a_part_is_found_by_the_end_of_its_place() -> None:
    for name in ("training.loss.lambda_metric", "loss.lambda_metric", "lambda_metric"):
        _, training = SIGNALS.configs({name: 0.3, "loss": {"metric": "triplets"}, "augmentation.warp": 0.1})
        assert (training.loss.lambda_metric, training.loss.metric) == (0.3, "triplets"), "the inner value wins"
        assert training.augmentation.warp == 0.1
    assert SIGNALS.training["loss"]["lambda_metric"] == 1.0, "the template stays as it is"
    assert SIGNALS.configs({"hidden_units": 8})[0].hidden_units == 8


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"units": [8]}, "search_space.units: nothing is configured by it; allowed are architecture, "),
        ({"batch_size": [8]}, "search_space.batch_size: nothing is configured by it"),
        ({"loss.lambda": [1]}, "search_space.loss.lambda: nothing is configured by it"),
        ({"lambda_metric": [-1.0]}, "search_space.lambda_metric: -1.0 is not allowed: Input should be greater"),
        ({"loss.metric": ["cosine"]}, "search_space.loss.metric: 'cosine' is not allowed: Input should be 'triplets'"),
        ({"lambda_metric": [1.0], "loss.lambda_metric": [2.0]}, "loss.lambda_metric: the same key as lambda_metric"),
        ({"kernel_size": [3, 4]}, "search_space.kernel_size: 4 is not allowed: Value error, kernel_size is odd"),
        ({"channels": [[8], [0]]}, "search_space.channels: [0] is not allowed"),
        ({"architecture": ["lstm"]}, "search_space.architecture: 'lstm' is not allowed; allowed are hierarchical"),
        ({"optimiser": [{"kind": "luck"}]}, "search_space.optimiser: {'kind': 'luck'} is not allowed"),
    ],
)
def test_a_bad_space_of_signals_is_refused_by_name(space: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_space(parse_space(space), SIGNALS)
    assert said in str(refused.value)


def test_what_does_not_go_with_the_rest_is_refused_before_anything_is_trained() -> None:
    def fits(model: Any, training: Any) -> None:
        if model.decoding == "ordered":
            raise ValueError("nothing is ordered")

    check_space(parse_space({"decoding": ["argmax", "median"]}), SIGNALS, fits)
    with pytest.raises(ValueError, match=r"\{'decoding': 'ordered'\} does not fit: nothing is ordered"):
        check_space(parse_space({"decoding": ["argmax", "ordered"]}), SIGNALS, fits)


def test_own_values_are_those_of_the_network_that_is_there() -> None:
    assert ROWS.own(parse_space({"units": [8], "kernel_size": [3], "learning_rate": [1e-3]})) == {
        "units": 32,
        "learning_rate": 3e-3,
    }
    space = parse_space({"architecture": ["lstm", "mlp"], "units": {"values": [32], "when": {"architecture": "lstm"}}})
    assert ROWS.part_of(space) == {"architecture": "lstm", "units": 32}
    assert SIGNALS.own(parse_space({"loss.temperature": [1.0]})) == {"loss.temperature": 0.1}


def test_another_seed_is_so_much_above_the_own() -> None:
    assert SIGNALS.seeded(2).configs({})[1].seed == 2
    assert SIGNALS.seeded(2).seeded(3).configs({})[1].seed == 5
