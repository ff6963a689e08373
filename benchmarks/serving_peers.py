"""What `lehr serve` is measured against with the same ONNX files: MLflow's scoring server, and MLServer.

MLServer lies in an environment of its own, as its dependencies are not lehr's; LEHR_MLSERVER names its Python.
"""

import json
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from benchmarks.load import Connection, Load, Request
from benchmarks.service_process import free_port, in_process

RUNTIME = """
import numpy as np
import onnxruntime
from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec


class Onnx(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        uri = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        inputs = NumpyCodec.decode_input(payload.inputs[0])
        outputs = self.session.run(["prediction"], {"inputs": inputs})[0]
        encoded = NumpyCodec.encode_output("prediction", outputs)
        return types.InferenceResponse(model_name=self.name, outputs=[encoded])
"""
"""A custom runtime, as MLServer's documentation has it: it brings none for ONNX."""


def answers(port: int, path: str, body: bytes) -> bool:
    """Whether a server answers this."""
    try:
        return Connection(Request(port, path, body, {"Content-Type": "application/json"}, 1)).ask()
    except (OSError, AssertionError):
        return False


@contextmanager
def mlflow_serving(folder: Path, model: bytes, example: np.ndarray) -> Generator[int]:
    """Inside, `mlflow models serve` answers at this port, in this environment."""
    import mlflow.onnx
    from mlflow.models import infer_signature
    from mlflow.types import Schema, TensorSpec

    kept, port = folder / "model", free_port()
    signature = infer_signature(example)
    signature.inputs = Schema([TensorSpec(np.dtype(np.float32), (-1, *example.shape[1:]))])
    threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    mlflow.onnx.save_model(
        onnx.load_model_from_string(model),
        str(kept),
        signature=signature,
        pip_requirements=[],
        onnx_session_options=threads,
    )
    command = [
        str(Path(sys.executable).parent / "mlflow"),
        "models",
        "serve",
        "-m",
        str(kept),
        "--env-manager",
        "local",
    ]
    body = mlflow_body(example)
    with in_process(
        [*command, "-p", str(port), "-w", "1"],
        folder / "mlflow.log",
        {"OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        lambda: answers(port, "/invocations", body),
    ):
        yield port


def mlflow_body(inputs: np.ndarray) -> bytes:
    """A request as MLflow's scoring server takes tensors."""
    return json.dumps({"inputs": inputs.tolist()}).encode()


@contextmanager
def mlserver_serving(folder: Path, models: Mapping[str, bytes], example: bytes, name: str) -> Generator[int | None]:
    """Inside, MLServer answers at this port, in its own process and without further workers; None: it is not there."""
    python = os.environ.get("LEHR_MLSERVER")
    if not python:
        yield None
        return
    port = free_port()
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "http_port": port,
                "grpc_port": free_port(),
                "metrics_port": free_port(),
                "parallel_workers": 0,
                "debug": False,
            }
        )
    )
    (folder / "runtime.py").write_text(RUNTIME)
    for model, content in models.items():
        (folder / model).mkdir()
        (folder / model / "model.onnx").write_bytes(content)
        place = str(folder / model / "model.onnx")
        settings = {"name": model, "implementation": "runtime.Onnx", "parameters": {"uri": place}}
        (folder / model / "model-settings.json").write_text(json.dumps(settings))
    with in_process(
        [str(Path(python).absolute().parent / "mlserver"), "start", str(folder)],
        folder / "mlserver.log",
        {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)},
        lambda: answers(port, f"/v2/models/{name}/infer", example),
    ):
        yield port


def best(loads: list[Load]) -> Load:
    """The round with the most samples a second: what else the machine did costs every server alike."""
    return max(loads, key=lambda found: found.samples_per_second)
