"""What a network costs once it is exported: the objectives of a search besides its score."""

import numpy as np
from numpy.typing import NDArray

from deployments.export import export
from deployments.scoring import OnnxModel
from deployments.signal_export import SignalModel, export_signals
from models.hierarchical import HierarchicalSignalNet
from models.network import Network


def measure_exported(network: Network, window_length: int) -> dict[str, float]:
    """`latency_ms`, the median for one sample, and `size_mb` of the ONNX file with its training state inside."""
    onnx = export(network, network.features, window_length, network.state_dict(), {})
    return {"latency_ms": OnnxModel(onnx).latency_ms(window_length), "size_mb": len(onnx) / 1e6}


def measure_exported_signals(network: HierarchicalSignalNet, signal_CT: NDArray[np.float32]) -> dict[str, float]:
    """`latency_ms`, the median for this signal, and `size_mb` of the ONNX file."""
    onnx = export_signals(network)
    return {"latency_ms": SignalModel(onnx).latency_ms(signal_CT), "size_mb": len(onnx) / 1e6}
