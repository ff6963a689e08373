"""What a network costs once it is exported: the objectives of a search besides its score."""

from deployments.export import export
from deployments.scoring import OnnxModel
from models.network import Network


def measure_exported(network: Network, window_length: int) -> dict[str, float]:
    """`latency_ms`, the median for one sample, and `size_mb` of the ONNX file with its training state inside."""
    onnx = export(network, network.features, window_length, network.state_dict(), {})
    return {"latency_ms": OnnxModel(onnx).latency_ms(window_length), "size_mb": len(onnx) / 1e6}
