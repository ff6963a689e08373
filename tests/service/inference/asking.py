"""Asking a plant's version in production for predictions."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np

from tests.service.plant import Plant

INPUTS = np.array([[930, 66], [870, 54], [905, 58]], np.float32)
INFER = "/v2/models/line/infer"
RNG = np.random.default_rng(0)


def body(inputs: Any = INPUTS) -> dict[str, Any]:
    tensor = {"name": "inputs", "datatype": "FP32", "shape": list(inputs.shape), "data": inputs.tolist()}
    return {"id": "7", "inputs": [tensor]}


def plain(samples: int, heat: float = 900) -> Any:
    """Readings as the history has them, or hotter."""
    return np.stack([RNG.normal(heat, 10, samples), RNG.normal(60, 3, samples)], 1)


def ask(client: httpx.Client, plant: Plant, readings: Any) -> list[str]:
    """Predict; the ids of the receipts, once all of them are on disk."""
    receipt = client.post(INFER, json=body(np.asarray(readings, np.float32))).json()["parameters"]["receipt_id"]
    request, first = receipt.split("-")
    wait_until(lambda: plant.ledger.prediction(request) is not None)
    return [f"{request}-{int(first) + i}" for i in range(len(readings))]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
