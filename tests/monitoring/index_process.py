"""A process that adds block after block to an index, and notes after each how many embeddings are in it."""

from pathlib import Path

import numpy as np

from monitoring.similarity import extend_index
from monitoring.similarity_files import Embedded

DIMENSIONS, ROWS = 32, 2_000


def block(number: int) -> Embedded:
    vectors = np.random.default_rng(number).standard_normal((ROWS, DIMENSIONS))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{number}:{row}" for row in range(ROWS)]
    return Embedded(unit, ids, [f"m{number}"] * ROWS, ["s"] * ROWS, str(number))


def add_blocks(folder: str, notes: str, first: str) -> None:
    """Until it is killed."""
    for number in range(int(first), int(first) + 1000):
        count = len(extend_index(Path(folder), "model", block(number)))
        with Path(notes).open("a") as file:
            file.write(f"{count}\n")
