"""Randomness that belongs to a seed and a batch, whatever ran before."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch

_ALONE = threading.RLock()


@contextmanager
def seeded(seed: int, batch_number: int) -> Generator[None]:
    """Inside, torch's generator is seeded from both numbers and one thread computes; afterwards all is as before.

    One thread: small networks train faster on it, and the same sums come out bit for bit. The generator is the
    process's, so of several threads that ask for it one learns at a time.
    """
    entropy = int(np.random.SeedSequence([seed, batch_number]).generate_state(1, np.uint64)[0])
    generator = torch.random.default_generator
    with _ALONE:
        before, threads = generator.get_state(), torch.get_num_threads()
        generator.manual_seed(entropy)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            generator.set_state(before)
