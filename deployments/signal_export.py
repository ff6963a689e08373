"""A network over signals as one ONNX file: normaliser, both heads and the decoding of positions inside.

Shapes: B signals, C channels, T samples of the longest signal, L steps of the keypoint head, K keypoints, E numbers of
an embedding.
"""

import io
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deployments.export import OPSET, TRACING, embed_state, load_state
from deployments.scoring import open_session
from models.config import HierarchicalConfig
from models.hierarchical import BEHIND, HierarchicalSignalNet

INPUTS = ("signals", "lengths")
OUTPUTS = ("embeddings", "keypoint_logits", "offsets", "positions")
_KEYPOINTS = "lehr.keypoints"
_EXAMPLE_LENGTHS = (37, 23)
_WARM_UP_RUNS, _MEASURED_RUNS = 3, 20

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ServedRepresentation:
    """Embeddings of length one, logits and offsets as `models.hierarchical` has them, and positions in samples."""

    embeddings_BE: Floats
    keypoint_logits_BLK: Floats
    offsets_BLK: Floats
    positions_BK: Floats


def export_signals(network: HierarchicalSignalNet) -> bytes:
    """The ONNX file of a network: signals (B, C, T) and int64 lengths (B,) → `OUTPUTS`, for any B and T.

    Its weights and configuration are inside too, so that `load_signal_network` gives it back, bit for bit.
    """
    lengths_B = torch.tensor(_EXAMPLE_LENGTHS)
    signals_BCT = torch.zeros(len(lengths_B), network.in_channels, max(_EXAMPLE_LENGTHS))
    model = onnx.load_model_from_string(_traced(_Served(network).eval(), signals_BCT, lengths_B))
    onnx.checker.check_model(model)
    config = {
        "in_channels": network.in_channels,
        "keypoints": list(network.keypoints),
        "model": network.config.model_dump(mode="json"),
    }
    embed_state(model, network.state_dict(), config)
    model.metadata_props.add(key=_KEYPOINTS, value=json.dumps(config["keypoints"]))
    return model.SerializeToString()


def load_signal_network(onnx_bytes: bytes) -> HierarchicalSignalNet:
    """The network that `export_signals` wrote, to learn on from. Raises ValueError as `load_state` does."""
    config, tensors = load_state(onnx_bytes)
    model = HierarchicalConfig.model_validate(config["model"])
    network = HierarchicalSignalNet(config["in_channels"], tuple(config["keypoints"]), model)
    network.load_state_dict(tensors)
    return network.eval()


class SignalModel:
    """An exported file, ready to represent signals on the CPU.

    keypoints: their names. Raises ValueError for a file that onnxruntime does not take, or of other outputs.
    """

    def __init__(self, path_or_bytes: Path | bytes, threads: int = 1) -> None:
        self._session = open_session(path_or_bytes, threads)
        names = [[port.name for port in ports] for ports in (self._session.get_inputs(), self._session.get_outputs())]
        found: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        if names != [list(INPUTS), list(OUTPUTS)] or _KEYPOINTS not in found:
            raise ValueError(f"this ONNX file does not represent signals: it has {names[0]} and {names[1]}")
        self.keypoints: tuple[str, ...] = tuple(json.loads(found[_KEYPOINTS]))
        self.channels = int(self._session.get_inputs()[0].shape[1])

    def represent(self, signals_BCT: Floats, lengths_B: NDArray[np.int64] | None = None) -> ServedRepresentation:
        """float32 signals, padded behind their lengths (None: all are whole), NaN where a reading is missing.

        Raises ValueError for inputs of another type or shape, for infinite readings, and for lengths that are not whole
        numbers within the signals.
        """
        if signals_BCT.dtype != np.float32 or signals_BCT.ndim != 3 or signals_BCT.shape[1] != self.channels:
            expected = f"(signals, {self.channels}, samples)"
            raise ValueError(f"the model takes float32 {expected}, got {signals_BCT.dtype} {signals_BCT.shape}")
        if np.isinf(signals_BCT).any():
            raise ValueError(f"signal {int(np.argmax(np.isinf(signals_BCT).any((1, 2))))} holds an infinite reading")
        count, _, longest = signals_BCT.shape
        lengths = np.full(count, longest) if lengths_B is None else np.asarray(lengths_B)
        if lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths are whole numbers, not {lengths.dtype}")
        lengths = lengths.astype(np.int64)
        if lengths.shape != (count,) or count == 0 or lengths.min() < 1 or lengths.max() > longest:
            raise ValueError(f"{count} signals of at most {longest} samples need as many lengths from 1, got {lengths}")
        found: Sequence[Any] = self._session.run(list(OUTPUTS), {"signals": signals_BCT, "lengths": lengths})
        return ServedRepresentation(*(np.asarray(output) for output in found))

    def latency_ms(self, signal_CT: Floats) -> float:
        """The median time of one representation of a signal alone, after a warm-up."""
        seconds = [self._seconds(np.ascontiguousarray(signal_CT[None])) for _ in range(_WARM_UP_RUNS + _MEASURED_RUNS)]
        return 1000 * float(np.median(seconds[_WARM_UP_RUNS:]))

    def _seconds(self, signals_BCT: Floats) -> float:
        started = perf_counter()
        self.represent(signals_BCT)
        return perf_counter() - started


def check_signal_parity(network: HierarchicalSignalNet, onnx_bytes: bytes, lengths: Sequence[int], seed: int) -> float:
    """The largest difference of an embedding, a logit, an offset or a position between file and network.

    For each length a batch in which that is the longest signal and others are padded, and one signal alone; readings
    are drawn around the network's own normaliser. Positions are compared as shares of the longest signal, logits as
    shares of the largest where that is above one, since float32 rounds by shares. Infinite where something is not
    finite or shapes differ.
    """
    model, generator = SignalModel(onnx_bytes), torch.Generator().manual_seed(seed)
    return max(_difference(network.eval(), model, *_signals(network, n, b, generator)) for n in lengths for b in (1, 5))


class _Served(nn.Module):
    """What is served: the network with its positions decoded."""

    def __init__(self, network: HierarchicalSignalNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, signals_BCT: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        representation = self.network(signals_BCT, lengths_B)
        return *representation, self.network.positions(representation)


def _traced(network: nn.Module, signals_BCT: Tensor, lengths_B: Tensor) -> bytes:
    steps = {0: "signals", 1: "steps"}
    axes = {"signals": {0: "signals", 2: "samples"}, "lengths": {0: "signals"}}
    axes |= {"keypoint_logits": steps, "offsets": steps, "embeddings": {0: "signals"}, "positions": {0: "signals"}}
    buffer: Any = io.BytesIO()  # torch takes a buffer here, though its type says a path
    with TRACING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `deployments.export`: the exporter by tracing keeps dynamic lengths
        torch.onnx.export(
            network,
            (signals_BCT, lengths_B),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
        )
    return buffer.getvalue()


def _signals(
    network: HierarchicalSignalNet, longest: int, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    normaliser, shape = network.normaliser, (count, network.in_channels, longest)
    signals_BCT = normaliser.mean_C[:, None] + normaliser.std_C[:, None] * torch.randn(shape, generator=generator)
    lengths_B = torch.randint(1, longest + 1, (count,), generator=generator)
    lengths_B[0] = longest
    return signals_BCT, lengths_B


@torch.no_grad()
def _difference(network: HierarchicalSignalNet, model: SignalModel, signals_BCT: Tensor, lengths_B: Tensor) -> float:
    expected = network(signals_BCT, lengths_B)
    served = model.represent(signals_BCT.numpy(), lengths_B.numpy())
    pairs = [
        (expected.embeddings_BE.numpy(), served.embeddings_BE),
        (expected.keypoint_logits_BLK.numpy(), served.keypoint_logits_BLK),
        (expected.offsets_BLK.numpy(), served.offsets_BLK),
        (network.positions(expected).numpy(), served.positions_BK),
    ]
    if any(ours.shape != theirs.shape for ours, theirs in pairs):
        return math.inf
    gaps = [np.abs(ours - theirs) for ours, theirs in pairs]
    gaps[1] = gaps[1] / _largest_logit(pairs[1][0])
    gaps[-1] = gaps[-1] / signals_BCT.shape[2]
    largest = max(float(gap.max(initial=0.0)) for gap in gaps)
    return largest if np.isfinite(largest) else math.inf


def _largest_logit(logits_BLK: Floats) -> float:
    """Of those within a signal, and at least one."""
    return float(np.abs(logits_BLK[logits_BLK > BEHIND]).max(initial=1.0))
