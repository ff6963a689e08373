"""Predictions of an exported network.

Shapes: B samples, L window length, C features, K classes.
"""

import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from data.samples import Samples
from models.network import Network

INPUT, OUTPUT = "inputs", "prediction"

_SAMPLES_AT_ONCE = 4096
_WARM_UP_RUNS = 10
_MEASURED_RUNS = 100


class Predictor(Protocol):
    """A network, wherever it runs."""

    def predict_samples(self, samples: Samples) -> NDArray[np.float32]:
        """Class probabilities (B, K) or values (B,) for all samples; raises ValueError where there are none."""
        ...


class NetworkModel:
    """A network with one head in torch, for what is never served."""

    def __init__(self, network: Network) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def predict_samples(self, samples: Samples) -> NDArray[np.float32]:
        """As `Predictor` says."""
        if len(samples) == 0:
            raise ValueError("there are no samples to predict")
        parts = torch.arange(len(samples)).split(_SAMPLES_AT_ONCE)
        return torch.cat([self._network(samples.inputs(part)) for part in parts]).numpy()


def open_session(path_or_bytes: Path | bytes, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX file on the CPU; raises ValueError for one that onnxruntime does not take."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    source = str(path_or_bytes) if isinstance(path_or_bytes, Path) else path_or_bytes
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no narrower public class
        raise ValueError(f"onnxruntime does not take this ONNX file: {error}") from error


class OnnxModel:
    """An ONNX file, ready to predict on the CPU.

    Raises ValueError for a file that onnxruntime does not take, or without the input and output that `export` gives.
    """

    def __init__(self, path_or_bytes: Path | bytes, threads: int = 1) -> None:
        self._session = open_session(path_or_bytes, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [i.name for i in inputs] != [INPUT] or [o.name for o in outputs] != [OUTPUT]:
            raise ValueError(f"a served ONNX file has one input {INPUT!r} and one output {OUTPUT!r}")
        self._shape: list[Any] = inputs[0].shape

    @property
    def features(self) -> int:
        """How many readings one row holds."""
        return int(self._shape[-1])

    @property
    def windowed(self) -> bool:
        """Whether a sample is a window (L, C) rather than a row (C,)."""
        return len(self._shape) == 3

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 readings (B, C) or (B, L, C), NaN where one is missing → class probabilities (B, K) or values (B,).

        Raises ValueError for inputs of another type or shape.
        """
        if inputs.dtype != np.float32 or inputs.ndim != len(self._shape) or inputs.shape[-1] != self.features:
            expected = f"(samples, {'length, ' * self.windowed}{self.features})"
            raise ValueError(f"the model takes float32 {expected}, got {inputs.dtype} {inputs.shape}")
        return np.asarray(self._session.run([OUTPUT], {INPUT: inputs})[0])

    def predict_samples(self, samples: Samples) -> NDArray[np.float32]:
        """Predictions for all samples, gathering a few thousand windows at a time.

        Raises ValueError where there are none.
        """
        if len(samples) == 0:
            raise ValueError("there are no samples to predict")
        parts = torch.arange(len(samples)).split(_SAMPLES_AT_ONCE)
        return np.concatenate([self.predict(samples.inputs(part).contiguous().numpy()) for part in parts])

    def zeros(self, window_length: int = 1) -> NDArray[np.float32]:
        """One sample of readings that are all 0."""
        shape = (1, window_length, self.features) if self.windowed else (1, self.features)
        return np.zeros(shape, np.float32)

    def latency_ms(self, window_length: int = 1) -> float:
        """The median time of one prediction for one sample, after a warm-up."""
        sample = self.zeros(window_length)
        seconds = [self._seconds(sample) for _ in range(_WARM_UP_RUNS + _MEASURED_RUNS)]
        return 1000 * float(np.median(seconds[_WARM_UP_RUNS:]))

    def _seconds(self, sample: NDArray[np.float32]) -> float:
        start = time.perf_counter()
        self.predict(sample)
        return time.perf_counter() - start
