from concurrent.futures import ThreadPoolExecutor

import torch

from learning.randomness import seeded


def test_threads_draw_what_each_draws_alone():
    def draw(seed: int) -> torch.Tensor:
        with seeded(seed, 0):
            return torch.cat([torch.randn(100) for _ in range(50)])

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(draw, range(8)))
    assert all(torch.equal(drawn, draw(seed)) for seed, drawn in enumerate(together))
