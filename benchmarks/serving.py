"""Predictions over real sockets: `lehr serve`, `mlflow models serve`, MLServer and a bare onnxruntime loop, one run.

`python -m benchmarks.serving [--seconds 1] [--rounds 3]`: the same ONNX files of a small network on rows and of two
on windows of 30 rows × 20 sensors, one thread of onnxruntime each, the servers in turn with one request after another
on kept connections: one sample and 64, as JSON and as bytes, from one client and from four. LEHR_MLSERVER is the
Python of an environment with MLServer and onnxruntime; without it that peer is left out. Writes
benchmarks/out/serving.json.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.load import Load, Request, load, measured
from benchmarks.results import write_json
from benchmarks.service_process import put_into_production, serving
from benchmarks.serving_peers import best, mlflow_body, mlflow_serving, mlserver_serving
from data.sources import Arrival
from deployments.scoring import OnnxModel
from service.inference.batching import CORES

FEATURES, LENGTH, ROWS = 20, 30, 2_000
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"architecture": "mlp"},
    "lstm": {"architecture": "lstm", "units": 128},
    "cnn-lstm": {"architecture": "cnn_lstm", "units": 128},
}


def history() -> Arrival:
    """Twenty readings, and what follows from them."""
    rng = np.random.default_rng(0)
    readings = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    target = np.where(readings[:, :5].sum(1) + 0.3 * rng.normal(size=ROWS) > 0, "good", "bad")
    frame = pl.DataFrame(readings, schema=[f"s{i}" for i in range(FEATURES)]).with_columns(pl.Series("quality", target))
    return Arrival("h.csv", frame.write_csv().encode(), "csv")


def document_of(name: str) -> dict[str, Any]:
    """The pipeline of a network."""
    data = {"target": "quality", "window": {"length": 1 if name == "mlp" else LENGTH}}
    training = {"epochs": 1, "seed": 0}
    return {"name": name, "task": "classification", "data": data, "model": NETWORKS[name], "training": training}


def readings(name: str, samples: int) -> np.ndarray:
    """So many samples as the network takes them."""
    shape = (samples, FEATURES) if name == "mlp" else (samples, LENGTH, FEATURES)
    return np.random.default_rng(samples).normal(size=shape).astype(np.float32)


def as_json(inputs: np.ndarray) -> bytes:
    """A request of the Open Inference Protocol."""
    tensor = {"name": "inputs", "datatype": "FP32", "shape": list(inputs.shape), "data": inputs.ravel().tolist()}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": "prediction"}]}).encode()


def as_bytes(inputs: np.ndarray) -> tuple[bytes, dict[str, str]]:
    """The same by its binary extension, with the header that it needs."""
    tensor: dict[str, Any] = {"name": "inputs", "datatype": "FP32", "shape": list(inputs.shape)}
    tensor["parameters"] = {"binary_data_size": inputs.nbytes}
    wanted = [{"name": "prediction", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    return head + inputs.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


def requests_of(name: str, samples: int, ports: dict[str, int], token: str) -> dict[str, Request]:
    """The same readings for each server that runs."""
    inputs, json_type = readings(name, samples), {"Content-Type": "application/json"}
    path, admitted = f"/v2/models/{name}/infer", {"Authorization": f"Bearer {token}"}
    packed, head = as_bytes(inputs)
    found = {
        "lehr, bytes": Request(ports["lehr"], path, packed, {**admitted, **head}, samples),
        "lehr, JSON": Request(ports["lehr"], path, as_json(inputs), {**admitted, **json_type}, samples),
        "mlflow models serve": Request(ports["mlflow"], "/invocations", mlflow_body(inputs), json_type, samples),
    }
    if "mlserver" in ports:
        found["MLServer, JSON"] = Request(ports["mlserver"], path, as_json(inputs), json_type, samples)
    return found


def compare(requests: dict[str, Request], model: OnnxModel, inputs: np.ndarray, seconds: float, rounds: int) -> Any:
    """All servers and the bare loop, in turn; of each its best round, from one client and from four.

    Bare loops: one a core, all with one session, as many clients could ask it for.
    """
    found: dict[str, Any] = {}
    for clients in (1, 4):
        bare = {"bare loop": 1} if clients == 1 else {"bare loop": 1, "bare loops": CORES}
        loads: dict[str, list[Load]] = {name: [] for name in (*bare, *requests)}
        for _ in range(rounds):
            for name, loops in bare.items():
                asks = [lambda: len(model.predict(inputs)) > 0] * loops
                loads[name].append(measured(asks, len(inputs), seconds))
            for name, request in requests.items():
                loads[name].append(load(request, clients, seconds))
        found[f"{clients} clients"] = {name: asdict(best(each)) for name, each in loads.items()}
    return found


def measure(name: str, model: bytes, ports: dict[str, int], token: str, arguments: Any) -> dict[str, Any]:
    """One sample, and 64."""
    bare, found = OnnxModel(model), dict[str, Any]()
    for samples in (1, 64):
        requests = requests_of(name, samples, ports, token)
        found[f"{samples} samples"] = compare(
            requests, bare, readings(name, samples), arguments.seconds, arguments.rounds
        )
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    arguments, results = parser.parse_args(), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: Path(folder) / name for name in ("lehr", "mlserver", *arguments.networks)}
        for home in homes.values():
            home.mkdir()
        files = put_into_production(homes["lehr"], history(), [document_of(name) for name in arguments.networks])
        models = dict(zip(arguments.networks, files, strict=True))
        first = arguments.networks[0]
        example = as_json(readings(first, 1))
        with (
            serving(homes["lehr"]) as (port, token),
            mlserver_serving(homes["mlserver"], models, example, first) as peer,
        ):
            for name, model in models.items():
                with mlflow_serving(homes[name], model, readings(name, 2)) as mlflow:
                    ports = {"lehr": port, "mlflow": mlflow, **({} if peer is None else {"mlserver": peer})}
                    results[name] = measure(name, model, ports, token, arguments)
    print(json.dumps(results, indent=2))
    write_json("serving", results)


if __name__ == "__main__":
    main()
