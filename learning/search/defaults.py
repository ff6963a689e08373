"""What is searched where nobody says what: around the defaults, which suit most sensor data."""

from collections.abc import Mapping
from typing import Any

from learning.search.parsing import parse_space
from learning.search.space import Choice, LogRange, Parameter, Range, SearchSpace
from learning.search.template import Template

_TRAINING: Mapping[str, Parameter] = {
    "learning_rate": LogRange(5e-4, 2e-2),
    "batch_size": Choice([32, 64, 128, 256]),
    "weight_decay": LogRange(1e-4, 1e-1),
    "dropout": Range(0.0, 0.4),
    "ema_decay": Choice([None, 0.99]),
}
_RECURRENT: Mapping[str, Parameter] = {
    "layers": Choice([1, 2]),
    "units": Choice([32, 64, 128]),
    "hidden_units": Choice([[32], [64, 32], [128, 64]]),
}
_CONVOLUTION: Mapping[str, Parameter] = {
    "channels": Choice([[32], [32, 64], [64, 128]]),
    "kernel_size": Choice([3, 5, 7]),
    "hidden_units": Choice([[32], [64, 32], [128, 64]]),
}
DEFAULT_SPACES: Mapping[str, Mapping[str, Any]] = {
    "mlp": {**_TRAINING, "hidden_units": Choice([[32, 16], [64, 32], [128, 64], [256, 128], [128, 128, 64]])},
    "cnn": {**_TRAINING, **_CONVOLUTION},
    "lstm": {**_TRAINING, **_RECURRENT},
    "gru": {**_TRAINING, **_RECURRENT},
    "cnn_lstm": {**_TRAINING, **_CONVOLUTION, **_RECURRENT},
}
"""Of rows, by architecture."""
_REPRESENTATION: Mapping[str, Parameter] = {
    "learning_rate": LogRange(1e-3, 1e-2),
    "dropout": Range(0.0, 0.3),
    "loss.metric": Choice(["factored_contrastive", "nested_contrastive", "contrastive"]),
    "temperature": LogRange(0.03, 0.3),
    "channels": Choice([[16, 32], [32, 64], [32, 64, 96]]),
    "kernel_size": Choice([3, 5, 7]),
    "hidden_units": Choice([32, 64, 128]),
    "embedding_dim": Choice([32, 64, 128]),
    "blocks": Choice(["plain", "residual"]),
    "pool": Choice(["last", "attention"]),
}
_KEYPOINTS: Mapping[str, Parameter] = {"lambda_metric": LogRange(0.1, 3.0), "decoder": Choice(["none", "unet"])}


def signal_space(keypoints: bool) -> Mapping[str, Any]:
    """Of signals. keypoints: whether there are any, so that the decoder, and what embeddings count, mean something."""
    return {**_REPRESENTATION, **_KEYPOINTS} if keypoints else _REPRESENTATION


def space_of(asked: Mapping[str, Any] | None, usual: Mapping[str, Any], template: Template[Any, Any]) -> SearchSpace:
    """The space that is asked for, or the usual one with the template's own values in it.

    Raises ValueError for mistakes in what is asked for.
    """
    if asked is not None:
        return parse_space(asked)
    space = parse_space(usual)
    return space.with_values(template.own(space))
