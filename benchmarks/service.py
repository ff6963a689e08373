"""The champion is swapped a hundred times while three connections ask: what fails, and which versions answer.

`python -m benchmarks.service [--swaps 100]`: `lehr serve` in a process of its own, over real sockets. Predictions
beside their peers are in `benchmarks.serving`, followers and pauses in `benchmarks.followers`. Writes
benchmarks/out/service.json.
"""

import argparse
import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import write_json
from benchmarks.service_process import Client, put_into_production, serving, wait_for
from benchmarks.serving import as_bytes, document_of, history, readings
from data.ledger import Ledger
from deployments.settings import Settings
from service.core import now

VERSIONS, CONNECTIONS, ROWS = 4, 3, 8


def swaps(port: int, token: str, home: Path, many: int) -> dict[str, int]:
    """Change the champion so often under load; what failed, and how many versions answered."""
    ledger, going = Ledger(Settings(home=home).ledger_url, now), [True]
    answered: list[int] = []
    failed: list[int] = []

    def ask() -> None:
        client, (body, headers) = Client(port, token), as_bytes(readings("mlp", ROWS))
        while going[0]:
            status, content = client.ask("POST", "/v2/models/mlp/infer", body, **headers)
            if status == 200:
                answered.append(int(json.loads(content[: content.index(b"]}") + 2])["model_version"]))
            else:
                failed.append(status)

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    before = 1
    for swap in range(many):
        version = (swap + 1) % VERSIONS + 1
        ledger.promote("mlp", version, before, None, "swap")
        wait_for(lambda version=version: answered[-1:] == [version])
        before = version
    going[0] = False
    for thread in threads:
        thread.join()
    seen = int(np.count_nonzero(np.diff(answered))) if answered else 0
    return {"swaps": many, "requests": len(answered), "failed": len(failed), "changes_seen": seen}


def versions() -> list[dict[str, Any]]:
    """The same pipeline, trained with several seeds."""
    document = document_of("mlp")
    return [{**document, "training": {**document["training"], "seed": seed}} for seed in range(VERSIONS)]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swaps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        put_into_production(home, history(), versions())
        with serving(home) as (port, token):
            results = swaps(port, token, home, arguments.swaps)
    print(json.dumps(results, indent=2))
    write_json("service", results)


if __name__ == "__main__":
    main()
