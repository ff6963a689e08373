import torch

from learning.averaging import MovingAverage


def moved(average: MovingAverage, value: float, times: int) -> float:
    average.parameters[0].fill_(value)
    for _ in range(times):
        average.update()
    return float(average.averages[0])


def test_few_steps_leave_the_start_behind_and_many_have_the_decay_that_was_asked_for() -> None:
    average = MovingAverage([torch.nn.Parameter(torch.tensor(1.0), requires_grad=False)], 0.99)
    assert moved(average, 0.0, 20) < 1e-3  # of the decay alone 0.8 would be left
    assert moved(average, 0.0, 1000) < 1e-6
    assert abs(moved(average, 1.0, 100) - (1 - 0.99**100)) < 1e-5


def test_an_average_goes_on_where_it_was() -> None:
    first, second = (MovingAverage([torch.nn.Parameter(torch.tensor(1.0), requires_grad=False)], 0.9) for _ in "12")
    moved(first, 0.0, 5)
    second.restore({name: tensor.clone() for name, tensor in first.state().items()})
    assert moved(first, 3.0, 7) == moved(second, 3.0, 7)
