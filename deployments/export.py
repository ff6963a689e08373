"""A network as one ONNX file: its normaliser inside, the state that training continues from in its metadata.

Shapes: B samples, L window length, C features.
"""

import base64
import hashlib
import io
import json
import math
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from deployments.scoring import INPUT, OUTPUT, OnnxModel
from monitoring.performance import Predictions

OPSET = 17
_EXAMPLE_SAMPLES = 2
_PARITY_SAMPLES = (1, 17)
_MISSING_SHARE = 0.1
_ROUNDINGS = 8
TRACING = threading.Lock()
"""torch traces for one thread at a time."""
_KEYS = _STATE, _SHA256, _CONFIG = "lehr.state", "lehr.state_sha256", "lehr.config"


def export(
    network: nn.Module, features: int, window_length: int, state: Mapping[str, Tensor], config: Mapping[str, Any]
) -> bytes:
    """The ONNX file of a network that takes (B, C), or (B, L, C) where the window is longer than one row.

    B and L stay dynamic. `state` and `config` (JSON) are what `load_state` gives back, bit for bit: an exported
    network's weights are folded, so training cannot continue from them.
    """
    example = torch.zeros(_shape(_EXAMPLE_SAMPLES, window_length + 3, features, window_length > 1))
    model = onnx.load_model_from_string(_traced(network.eval(), example))
    onnx.checker.check_model(model)
    embed_state(model, state, config)
    return model.SerializeToString()


def embed_state(model: onnx.ModelProto, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Put tensors and JSON into a file's metadata, with their hash."""
    tensors = safetensors.torch.save({name: tensor.detach().contiguous() for name, tensor in state.items()})
    text = json.dumps(config, sort_keys=True)
    packed = base64.b64encode(tensors).decode("ascii")
    for key, value in zip(_KEYS, (packed, _digest(packed, text), text), strict=True):
        model.metadata_props.add(key=key, value=value)


def load_state(onnx_bytes: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors that `export` embedded.

    Raises ValueError, saying what to do, for a file without state and for one whose state was changed.
    """
    found = {p.key: p.value for p in open_onnx(onnx_bytes).metadata_props}
    if not all(key in found for key in _KEYS):
        raise ValueError(
            "this ONNX file holds no training state, so learning cannot continue from it; "
            "use a model.onnx that lehr exported, or train a first champion from data"
        )
    if _digest(found[_STATE], found[_CONFIG]) != found[_SHA256]:
        raise ValueError(
            "the training state in this ONNX file was changed after it was exported; "
            "restore the file from a backup, or roll back to an earlier version"
        )
    try:
        return json.loads(found[_CONFIG]), safetensors.torch.load(base64.b64decode(found[_STATE]))
    except (ValueError, RecursionError, safetensors.SafetensorError) as error:  # whoever made it hashed it too
        raise ValueError(f"the training state in this ONNX file is none that lehr exported: {error}"[:300]) from None


def open_onnx(onnx_bytes: bytes) -> onnx.ModelProto:
    """The file as a document; raises ValueError for what is no ONNX file."""
    try:
        return onnx.load_model_from_string(onnx_bytes)
    except Exception as error:  # protobuf's decoding error has no public name
        raise ValueError("this is no ONNX file, or a broken one; restore it from a backup") from error


def check_parity(network: nn.Module, onnx_bytes: bytes, features: int, window_length: int, seed: int) -> float:
    """The largest difference between the file and the network; for values in deviations of the predictions.

    Seeded readings around the network's own normaliser (`normaliser.mean_C`, `.std_C`), a tenth of them missing, at
    two numbers of samples and (for windows) three lengths that the export did not see. Float32's own rounding of a
    value is taken off. Infinite where a prediction is not finite or the shapes differ.
    """
    model, generator = OnnxModel(onnx_bytes), torch.Generator().manual_seed(seed)
    lengths = (max(2, window_length // 2), window_length, 2 * window_length + 1) if window_length > 1 else (1,)
    shapes = [_shape(b, length, features, window_length > 1) for b in _PARITY_SAMPLES for length in lengths]
    readings = [_readings(network, shape, generator) for shape in shapes]
    with torch.no_grad():
        expected = [network.eval()(r).numpy() for r in readings]
    return _difference(expected, [model.predict(r.numpy()) for r in readings])


def _shape(samples: int, length: int, features: int, windowed: bool) -> tuple[int, ...]:
    return (samples, length, features) if windowed else (samples, features)


def _traced(network: nn.Module, example: Tensor) -> bytes:
    axes = {0: "samples", 1: "length"} if example.dim() == 3 else {0: "samples"}
    buffer: Any = io.BytesIO()  # torch takes a buffer here, though its type says a path
    with TRACING, warnings.catch_warnings():
        # The exporter by tracing is deprecated, but the newer one loses the dynamic length of attention over an LSTM.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size other than 1")
        warnings.filterwarnings("ignore", message="Constant folding")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            (example,),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: {0: "samples"}},
        )
    return buffer.getvalue()


def _digest(packed: str, config: str) -> str:
    return hashlib.sha256(f"{packed}\n{config}".encode()).hexdigest()


def _readings(network: nn.Module, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    mean_C, std_C = network.get_buffer("normaliser.mean_C"), network.get_buffer("normaliser.std_C")
    readings = mean_C + 2 * std_C * torch.randn(shape, generator=generator)
    return readings.masked_fill(torch.rand(shape, generator=generator) < _MISSING_SHARE, math.nan)


def _difference(expected: list[Predictions], served: list[Predictions]) -> float:
    if [e.shape for e in expected] != [s.shape for s in served]:
        return math.inf
    joined, other = np.concatenate(expected).astype(np.float64), np.concatenate(served).astype(np.float64)
    if not (np.isfinite(joined).all() and np.isfinite(other).all()):
        return math.inf
    difference = float(np.abs(joined - other).max())
    if joined.ndim == 2:
        return difference
    rounding = _ROUNDINGS * float(np.finfo(np.float32).eps * np.abs(joined).max())
    return max(difference - rounding, 0.0) / max(float(joined.std()), float(np.finfo(np.float32).tiny))
